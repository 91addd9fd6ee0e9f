-- purpose: the outcomes of some items, by their numbers, in all the stages that they reached
-- guard: none
-- locks: none; CROSS JOIN makes each a look-up, so that no plan reads the whole job
SELECT o.number, o.stage, o.state, o.run, o.output, o.output_ref, o.metrics, o.error_type,
       o.error_message, o.error_cause, o.error_traceback, o.settled_at, o.amends
FROM json_each(%(numbers)s) AS asked
CROSS JOIN joblot_stage came ON came.job_id = %(job)s AND came.position < %(stages)s
CROSS JOIN joblot_outcome o
  ON o.job_id = %(job)s AND o.stage = came.position AND o.number = asked.value
ORDER BY o.number, o.stage

-- purpose: the outcomes of some items, by their numbers, in all the stages that they reached
-- guard: none
-- locks: none; LIMIT makes each a look-up in the primary key, whatever the table's statistics
SELECT o.number, o.stage, o.state, o.run, o.output, o.output_ref, o.metrics, o.error_type,
       o.error_message, o.error_cause, o.error_traceback, o.settled_at, o.amends
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN generate_series(0, %(stages)s::int - 1) AS came (stage)
CROSS JOIN LATERAL (
    SELECT * FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = came.stage AND number = asked.number
    LIMIT 1
) o
ORDER BY o.number, o.stage

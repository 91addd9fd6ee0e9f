-- purpose: the outcomes of a stage's items, by their numbers
-- guard: none
-- locks: none; CROSS JOIN makes each a look-up, so that no plan reads the whole job
SELECT o.number, o.state, o.hash, o.lease_token
FROM json_each(%(numbers)s) AS asked
CROSS JOIN joblot_outcome o
  ON o.job_id = %(job)s AND o.stage = %(stage)s AND o.number = asked.value

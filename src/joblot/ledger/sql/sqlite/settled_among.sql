-- purpose: which of these items have an outcome in a stage
-- guard: none
-- locks: none
SELECT o.number
FROM json_each(%(numbers)s) AS asked
JOIN joblot_outcome o
  ON o.job_id = %(job)s AND o.stage = %(stage)s AND o.number = asked.value

-- purpose: the outputs of a stage's items, by their numbers
-- guard: none
-- locks: none
SELECT o.number, o.output, o.output_ref
FROM json_each(%(numbers)s) AS asked
JOIN joblot_outcome o
  ON o.job_id = %(job)s AND o.stage = %(stage)s AND o.number = asked.value

-- purpose: items of a job, by their numbers
-- guard: none
-- locks: none; CROSS JOIN makes each a look-up, so that no plan reads the whole job
SELECT i.number, i.key, i.payload
FROM json_each(%(numbers)s) AS asked
CROSS JOIN joblot_item i ON i.job_id = %(job)s AND i.number = asked.value
ORDER BY i.number

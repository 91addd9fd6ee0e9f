-- purpose: items of a job, by their numbers
-- guard: none
-- locks: none
SELECT i.number, i.key, i.payload
FROM json_each(%(numbers)s) AS asked
JOIN joblot_item i ON i.job_id = %(job)s AND i.number = asked.value
ORDER BY i.number

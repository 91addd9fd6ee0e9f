-- purpose: items of a job, by their keys
-- guard: none
-- locks: none
SELECT i.number, i.key, i.payload
FROM json_each(%(keys)s) AS asked
JOIN joblot_item i ON i.job_id = %(job)s AND i.key = asked.value
ORDER BY i.number

-- purpose: the items of a stage that have reached it, and are not settled in it
-- guard: none; a read
-- locks: none
SELECT number FROM joblot_item WHERE job_id = %(job)s AND %(stage)s = 0
UNION ALL
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND stage = %(stage)s - 1 AND state = {SUCCEEDED}
EXCEPT
SELECT number FROM joblot_outcome WHERE job_id = %(job)s AND stage = %(stage)s
ORDER BY number

-- purpose: the number of the n-th item behind a number that failed or was lost in any stage
-- guard: none; a read
-- locks: none
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND number > %(after)s AND state IN ({FAILED}, {LOST})
ORDER BY job_id, number
LIMIT 1 OFFSET %(items)s

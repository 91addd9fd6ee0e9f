-- purpose: how many results of a job were kept without being counted, by receipt, up to a number
-- guard: none; a read
-- locks: none
SELECT receipt, COUNT(*) FROM (
    SELECT receipt FROM joblot_uncounted WHERE job_id = %(job)s ORDER BY job_id, number LIMIT %(most)s
) kept
GROUP BY receipt

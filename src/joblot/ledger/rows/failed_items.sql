-- purpose: the first items behind a number that failed or were lost, each with its stage and state
-- guard: none; a read
-- locks: none; the index on the items given up has them in this order
SELECT number, stage, state FROM joblot_outcome
WHERE job_id = %(job)s AND number > %(after)s AND state IN ({FAILED}, {LOST})
ORDER BY job_id, number
LIMIT %(limit)s

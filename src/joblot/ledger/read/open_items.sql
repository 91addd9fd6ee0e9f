-- purpose: the items, behind a number and up to another, that are not settled in a stage: have no outcome
--          in it, and were not given up before
-- guard: none; a read
-- locks: none
SELECT number FROM joblot_item
WHERE job_id = %(job)s AND number > %(after)s AND number <= %(upto)s
EXCEPT
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND stage = %(stage)s AND number > %(after)s AND number <= %(upto)s
EXCEPT
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND number > %(after)s AND number <= %(upto)s
  AND state IN ({FAILED}, {LOST}) AND +stage < %(stage)s
ORDER BY number
LIMIT %(limit)s

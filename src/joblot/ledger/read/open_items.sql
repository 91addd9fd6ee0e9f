-- purpose: the items in a range of numbers that are not settled in a stage: they have no outcome in
--          it, and did not fail and were not lost before it
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

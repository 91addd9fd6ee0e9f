-- purpose: the items in a range of numbers that succeeded in a stage
-- guard: none; a read
-- locks: none
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND stage = %(stage)s AND number > %(after)s AND number <= %(upto)s
  AND state = {SUCCEEDED}
ORDER BY job_id, stage, number
LIMIT %(limit)s

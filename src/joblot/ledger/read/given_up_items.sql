-- purpose: the items in a range of numbers that failed or were lost in a stage, before a stage, or
--          in any stage; optionally only those in `state`
-- guard: none; a read
-- locks: none; the plus sign before `stage` prevents a scan of the primary key, where most outcomes
--        are successes, instead of the partial index on the items given up
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND number > %(after)s AND number <= %(upto)s
  AND state IN ({FAILED}, {LOST})
  AND state = %(state)s -- if state
  AND +stage = %(stage)s -- if stage
  AND +stage < %(before)s -- if before
ORDER BY job_id, number
LIMIT %(limit)s

-- purpose: the items, behind a number and up to another, that failed or were lost in a stage, or before
--          a stage, or in any: those of `states`
-- guard: none; a read
-- locks: none; the sign before `stage` keeps the primary key, in which it comes before the number and
--        most of which succeeded, from being taken for the index of what was given up
SELECT number FROM joblot_outcome
WHERE job_id = %(job)s AND number > %(after)s AND number <= %(upto)s
  AND state IN ({FAILED}, {LOST})
  AND state = %(state)s -- if state
  AND +stage = %(stage)s -- if stage
  AND +stage < %(before)s -- if before
ORDER BY job_id, number
LIMIT %(limit)s

-- purpose: delete the ranges of a job that grants no claim any more
-- guard: the job is in this run and in such a status, read by the same statement, so that no range
--        of a later run is deleted
-- locks: the ranges; every claim that has locked one, before it could read the status, is waited for
DELETE FROM joblot_range
WHERE job_id = %(job)s AND EXISTS (
    SELECT 1 FROM joblot_job j
    WHERE j.id = %(job)s AND j.run = %(run)s
      AND j.status = 'CANCELING' -- if canceling
      AND j.status IN ({TERMINAL}) -- if ended
)

-- purpose: how many items failed or were lost for a cause
-- guard: none; a read
-- locks: none
SELECT count(*) FROM joblot_outcome
WHERE job_id = %(job)s AND error_cause = %(cause)s AND state IN ({FAILED}, {LOST})

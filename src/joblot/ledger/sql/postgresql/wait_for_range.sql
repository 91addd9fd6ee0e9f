-- purpose: when every ready range is locked, wait for one rather than say that there is none
-- guard: its time has come
-- locks: the first range, waiting at most lock_timeout
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND id > %(after)s AND not_before <= {now}
ORDER BY id
LIMIT 1
FOR UPDATE

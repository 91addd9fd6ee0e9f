-- purpose: find a range of one job's stage to claim from, beginning behind the one taken last
-- guard: nobody else holds it, its time has come
-- locks: the range, skipping those that are locked
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND id > %(after)s AND not_before <= {now}
ORDER BY id
LIMIT 1
FOR UPDATE SKIP LOCKED

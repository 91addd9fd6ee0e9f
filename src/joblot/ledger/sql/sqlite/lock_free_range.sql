-- purpose: find a range of one job's stage to claim from, beginning behind the one taken last
-- guard: its time has come
-- locks: none of its own; the transaction holds the database's write lock
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND id > %(after)s AND not_before <= {now}
ORDER BY id
LIMIT 1

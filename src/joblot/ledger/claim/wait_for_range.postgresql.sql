-- purpose: when every ready range is locked, wait for one instead of reporting that there is none
-- guard: the range is due
-- locks: the first range, waiting at most lock_timeout
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE (job_id, stage, id) > (%(job)s::bigint, %(stage)s::int, %(after)s::bigint)
  AND (job_id, stage) <= (%(job)s::bigint, %(stage)s::int) AND not_before <= {now}
ORDER BY job_id, stage, id
LIMIT 1
FOR UPDATE

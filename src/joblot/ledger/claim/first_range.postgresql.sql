-- purpose: find where the ranges of a stage begin, searching from the last known floor, if its job can be
--          claimed; whether it can; and how many seconds the search took on the server, since the last
--          column is computed after the first
-- guard: none
-- locks: none
SELECT (
    SELECT r.id
    FROM joblot_range r
    WHERE (r.job_id, r.stage, r.id) > (%(job)s::bigint, %(stage)s::int, %(after)s::bigint)
      AND (r.job_id, r.stage) <= (%(job)s::bigint, %(stage)s::int)
      AND j.id IS NOT NULL
    ORDER BY r.job_id, r.stage, r.id
    LIMIT 1
), j.id IS NOT NULL, EXTRACT(EPOCH FROM clock_timestamp() - statement_timestamp())::float8
FROM (VALUES (1)) AS one
LEFT JOIN joblot_job j
    ON j.id = %(job)s::bigint AND j.status IN ({CLAIMABLE}) AND j.deleted_at IS NULL

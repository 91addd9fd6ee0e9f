-- purpose: find where the ranges of a stage begin, searching from the last known floor; and how many
--          seconds the search took on the server, since the second column is computed after the first
-- guard: none
-- locks: none
SELECT (
    SELECT id
    FROM joblot_range
    WHERE (job_id, stage, id) > (%(job)s::bigint, %(stage)s::int, %(after)s::bigint)
      AND (job_id, stage) <= (%(job)s::bigint, %(stage)s::int)
    ORDER BY job_id, stage, id
    LIMIT 1
), EXTRACT(EPOCH FROM clock_timestamp() - statement_timestamp())::float8

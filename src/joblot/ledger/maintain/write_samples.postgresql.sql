-- purpose: write down the progress of some jobs, one row per job and tick
-- guard: the job is not being removed; another sweep in the same tick loses by the primary key
-- locks: none but its own rows
INSERT INTO joblot_sample (job_id, tick, run, at, stages, in_flight, workers)
SELECT j.id, %(tick)s, j.run, {now},
       (SELECT json_agg(json_build_array(c.succeeded, c.given_up, c.skipped) ORDER BY c.position)
        FROM (
            SELECT s.position, COALESCE(SUM(t.succeeded), 0) AS succeeded,
                   COALESCE(SUM(t.failed + t.lost), 0) AS given_up,
                   COALESCE(SUM(t.skipped), 0) AS skipped
            FROM joblot_stage s
            LEFT JOIN joblot_tally t ON t.job_id = s.job_id AND t.stage = s.position
            WHERE s.job_id = j.id GROUP BY s.position
        ) c),
       l.items, l.workers
FROM joblot_job j
CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(open), 0) AS items, COUNT(DISTINCT worker) AS workers
    FROM joblot_lease WHERE job_id = j.id AND state = {LIVE}
) l
WHERE j.id = ANY(%(jobs)s::bigint[]) AND j.deleted_at IS NULL
ON CONFLICT DO NOTHING

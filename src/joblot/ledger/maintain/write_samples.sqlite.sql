-- purpose: write down the progress of some jobs, one row per job and tick
-- guard: the job is not being removed; another sweep in the same tick loses by the primary key
-- locks: none but its own rows
INSERT INTO joblot_sample (job_id, tick, run, at, stages, in_flight, workers)
SELECT j.id, %(tick)s, j.run, {now},
       (SELECT json_group_array(json_array(c.succeeded, c.given_up, c.skipped))
        FROM (
            SELECT s.position, COALESCE(SUM(t.succeeded), 0) AS succeeded,
                   COALESCE(SUM(t.failed + t.lost), 0) AS given_up,
                   COALESCE(SUM(t.skipped), 0) AS skipped
            FROM joblot_stage s
            LEFT JOIN joblot_tally t ON t.job_id = s.job_id AND t.stage = s.position
            WHERE s.job_id = j.id GROUP BY s.position ORDER BY s.position
        ) c),
       (SELECT COALESCE(SUM(open), 0) FROM joblot_lease {by_state}
        WHERE job_id = j.id AND state = {LIVE}),
       (SELECT COUNT(DISTINCT worker) FROM joblot_lease {by_state}
        WHERE job_id = j.id AND state = {LIVE})
FROM joblot_job j
WHERE j.id IN (SELECT value FROM json_each(%(jobs)s)) AND j.deleted_at IS NULL
ON CONFLICT DO NOTHING

-- purpose: everything that is shown of a job, or of a page of jobs, in one snapshot; one row per
--          stage, which begins with the first columns of due.sql
-- guard: the jobs are not deleted
-- locks: none; CROSS JOIN makes every access by job a look-up
SELECT j.version, j.run, j.revision, j.status, j.sealed, j.total, j.recorded, j.policy,
       CASE WHEN j.status = 'CANCELING' AND j.cancel_closes_at IS NOT NULL THEN (
           SELECT 1 FROM joblot_lease l {by_state}
           WHERE l.job_id = j.id AND l.state IN ({CAN_SETTLE})
           ORDER BY l.state, l.stage LIMIT 1
       ) IS NULL AND (
           SELECT 1 FROM joblot_lease l {gave_back}
           WHERE l.job_id = j.id AND l.state = {SPENT} AND NOT (l.gone = '[]') LIMIT 1
       ) IS NULL ELSE false END AS drained,
       s.position, s.name, COALESCE(SUM(t.succeeded), 0), COALESCE(SUM(t.failed), 0),
       COALESCE(SUM(t.lost), 0), COALESCE(SUM(t.skipped), 0),
       j.id, j.name, j.project, j.priority, j.owner, j.created_at, j.started_at, j.finished_at,
       s.pipeline, COALESCE(SUM(t.late), 0),
       (SELECT COALESCE(SUM(l.open), 0) FROM joblot_lease l {by_state}
        WHERE l.job_id = j.id AND l.state = {LIVE} AND l.stage = s.position) AS in_flight,
       (SELECT json_group_object(m.name, m.value) FROM (
           SELECT name, SUM(value) AS value FROM joblot_metric
           WHERE job_id = j.id AND stage = s.position GROUP BY name ORDER BY name
       ) m) AS metrics,
       (SELECT 1 FROM joblot_event e WHERE e.job_id = j.id AND e.run = j.run AND e.kind = 'failing'
        LIMIT 1) AS alerted,
       (SELECT e.data FROM joblot_event e WHERE e.job_id = j.id AND e.run = j.run
        AND e.kind = 'started' LIMIT 1) AS begun,
       {now}
FROM (
    SELECT * FROM joblot_job
    WHERE deleted_at IS NULL
      AND id = %(job)s -- if job
      AND id IN (SELECT value FROM json_each(%(ids)s)) -- if ids
      AND id < %(before)s -- if before
      AND status = %(status)s -- if status
      AND project = %(project)s -- if project
      AND project IN (SELECT value FROM json_each(%(projects)s)) -- if projects
    ORDER BY id DESC
    LIMIT %(limit)s
) j
CROSS JOIN joblot_stage s ON s.job_id = j.id
LEFT JOIN joblot_tally t ON t.job_id = j.id AND t.stage = s.position
GROUP BY j.id, s.position
ORDER BY j.id DESC, s.position

-- purpose: everything that is shown of a job, or of a page of jobs, in one snapshot; one row per
--          stage, which begins with the first columns of due.sql
-- guard: the jobs are not deleted
-- locks: none; OFFSET 0 and LATERAL make every access by job a look-up, whatever the statistics
SELECT j.version, j.run, j.revision, j.status, j.sealed, j.total, j.recorded, j.policy,
       CASE WHEN j.status = 'CANCELING' AND j.cancel_closes_at IS NOT NULL THEN (
           SELECT 1 FROM joblot_lease l WHERE l.job_id = j.id AND l.state IN ({CAN_SETTLE})
           ORDER BY l.state, l.stage LIMIT 1
       ) IS NULL AND (
           SELECT 1 FROM joblot_lease l
           WHERE l.job_id = j.id AND l.state = {SPENT} AND NOT (l.gone = '[]') LIMIT 1
       ) IS NULL ELSE false END AS drained,
       s.position, s.name, t.succeeded, t.failed, t.lost, t.skipped,
       j.id, j.name, j.project, j.priority, j.owner, j.created_at, j.started_at, j.finished_at,
       s.pipeline, t.late,
       (SELECT COALESCE(SUM(l.open), 0) FROM joblot_lease l
        WHERE l.job_id = j.id AND l.state = {LIVE} AND l.stage = s.position) AS in_flight,
       (SELECT json_object_agg(m.name, m.value)::text FROM (
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
      AND id = ANY(%(ids)s::bigint[]) -- if ids
      AND id < %(before)s -- if before
      AND status = %(status)s -- if status
      AND project = %(project)s -- if project
      AND project IN (SELECT jsonb_array_elements_text(%(projects)s::jsonb)) -- if projects
    ORDER BY id DESC
    LIMIT %(limit)s
) j
CROSS JOIN LATERAL (
    SELECT position, name, pipeline FROM joblot_stage WHERE job_id = j.id OFFSET 0
) s
CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(succeeded), 0) AS succeeded, COALESCE(SUM(failed), 0) AS failed,
           COALESCE(SUM(lost), 0) AS lost, COALESCE(SUM(skipped), 0) AS skipped,
           COALESCE(SUM(late), 0) AS late
    FROM joblot_tally WHERE job_id = j.id AND stage = s.position
) t
ORDER BY j.id DESC, s.position

-- purpose: read everything that decides whether a job is to be finished, amended or revoked, in one
--          snapshot
-- guard: the job is not deleted, because the counts of a deleted job are removed; what is written
--        as a consequence is guarded by the version read here
-- locks: none
SELECT j.version, j.run, j.revision, j.status, j.sealed, j.total, j.recorded, j.policy,
       CASE WHEN j.status = 'CANCELING' AND j.cancel_closes_at IS NOT NULL THEN (
           SELECT 1 FROM joblot_lease l {by_state}
           WHERE l.job_id = j.id AND l.state IN ({CAN_SETTLE})
           ORDER BY l.state, l.stage LIMIT 1
       ) IS NULL AND (
           SELECT 1 FROM joblot_lease l {gave_back}
           WHERE l.job_id = j.id AND l.state = {SPENT} AND NOT (l.gone = '[]') LIMIT 1
       ) IS NULL ELSE false END AS drained,
       s.position, s.name,
       COALESCE(SUM(t.succeeded), 0), COALESCE(SUM(t.failed), 0),
       COALESCE(SUM(t.lost), 0), COALESCE(SUM(t.skipped), 0),
       CASE WHEN j.status = 'CANCELING' THEN (
           SELECT e.actor FROM joblot_event e
           WHERE e.job_id = j.id AND e.run = j.run AND e.kind = 'canceling'
           ORDER BY e.id DESC LIMIT 1
       ) END,
       CASE WHEN j.status = 'CANCELING' THEN (
           SELECT e.reason FROM joblot_event e
           WHERE e.job_id = j.id AND e.run = j.run AND e.kind = 'canceling'
           ORDER BY e.id DESC LIMIT 1
       ) END
FROM joblot_job j
JOIN joblot_stage s ON s.job_id = j.id
LEFT JOIN joblot_tally t ON t.job_id = s.job_id AND t.stage = s.position
WHERE j.id = %(job)s AND j.deleted_at IS NULL
GROUP BY j.id, s.position, s.name
ORDER BY s.position

-- purpose: the stages a claim may be served from: of claimable jobs, with a range whose time has come
-- guard: none; whether the job may be claimed is decided when its range is locked
-- locks: none
SELECT j.id, s.position, j.project, json_extract(j.policy, '$.lease_seconds')
FROM joblot_job j
JOIN joblot_stage s ON s.job_id = j.id
WHERE j.status IN ({CLAIMABLE})
  AND s.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
  AND (%(job)s IS NULL OR j.id = %(job)s)
  AND EXISTS (
      SELECT 1 FROM joblot_range r
      WHERE r.job_id = j.id AND r.stage = s.position AND r.not_before <= {now}
  )
ORDER BY j.priority DESC, j.id, s.position DESC

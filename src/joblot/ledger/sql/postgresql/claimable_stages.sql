-- purpose: the stages a claim may be served from: of claimable jobs, with a range whose time has come
-- guard: none; whether the job may be claimed is decided when its range is locked
-- locks: none
SELECT j.id, s.position, j.project, (j.policy ->> 'lease_seconds')::float
FROM joblot_job j
JOIN joblot_stage s ON s.job_id = j.id
LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
       ON f.job = j.id AND f.stage = s.position
WHERE j.status IN ({CLAIMABLE})
  AND s.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
  AND (%(job)s::bigint IS NULL OR j.id = %(job)s::bigint)
  AND EXISTS (
      SELECT 1 FROM joblot_range r
      WHERE r.job_id = j.id AND r.stage = s.position AND r.id > COALESCE(f.floor, 0)
        AND r.not_before <= {now}
  )
ORDER BY j.priority DESC, j.id, s.position DESC

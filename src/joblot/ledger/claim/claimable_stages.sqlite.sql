-- purpose: the jobs a claim may be served from: claimable, within their limits and their pipeline's, with a range
--          that is due; with each of their stages that is served, the latest first, whether that stage
--          has such a range, and its pipeline if that has a limit; a step of priority counts as a fixed age
-- guard: none; whether the job may be claimed is decided when its range is locked
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT p.pipeline, COALESCE(p.next_at > {now}, 0) OR COALESCE(
               p.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[p.pipeline]}), 0
           ) AS at_limit
    FROM joblot_pipeline_limit p
    WHERE p.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
      AND (p.rate_items_max IS NOT NULL OR p.in_flight_items_max IS NOT NULL)
)
SELECT id, position, project, items_max, ready, rated, limited
FROM (
    SELECT o.*, max(ready) OVER (PARTITION BY id) AS any_ready
    FROM (
        SELECT j.id, s.position, j.project, j.created_at, j.priority,
               json_extract(j.policy, '$.in_flight_items_max') AS items_max,
               json_extract(j.policy, '$.rate_items_max') IS NOT NULL AS rated,
               p.pipeline AS limited,
               EXISTS (
                   SELECT 1 FROM joblot_range r
                   WHERE r.job_id = j.id AND r.stage = s.position AND r.not_before <= {now}
               ) AS ready
        FROM joblot_job j
        JOIN joblot_stage s ON s.job_id = j.id
        LEFT JOIN limited p ON p.pipeline = s.pipeline
        WHERE p.at_limit IS NOT TRUE AND j.status IN ({CLAIMABLE})
          AND s.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
          AND (%(job)s IS NULL OR j.id = %(job)s)
          AND (%(projects)s IS NULL OR j.project IN (SELECT value FROM json_each(%(projects)s)))
    ) o
) c
WHERE any_ready
  AND (items_max IS NULL OR (
      SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l {by_state}
      WHERE l.job_id = c.id AND l.state = {LIVE}
  ) < items_max)
  AND NOT (rated AND EXISTS (
      SELECT 1 FROM joblot_rate x WHERE x.job_id = c.id AND x.next_at > {now}
  ))
ORDER BY julianday(created_at) * 86400.0 - priority * %(priority_step_seconds)s,
         id, position DESC

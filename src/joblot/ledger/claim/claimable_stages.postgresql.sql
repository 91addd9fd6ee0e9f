-- purpose: the jobs a claim may be served from: claimable, within their limits and their pipeline's,
--          with a range that is due; with each of their stages that is served, the latest first,
--          whether that stage has such a range, and its pipeline if that has a limit; a step of
--          priority counts as a fixed age
-- guard: none; whether the job may be claimed is decided when its range is locked
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT p.pipeline, COALESCE(p.next_at > {now}, false) OR (
               p.in_flight_items_max IS NOT NULL
               AND p.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[p.pipeline]})
           ) AS at_limit
    FROM jsonb_array_elements_text(%(pipelines)s::jsonb) AS asked (pipeline)
    CROSS JOIN LATERAL (
        SELECT q.* FROM joblot_pipeline_limit q WHERE q.pipeline = asked.pipeline LIMIT 1
    ) p
    WHERE p.rate_items_max IS NOT NULL OR p.in_flight_items_max IS NOT NULL
), served AS MATERIALIZED (
    SELECT j.id, s.position, j.project, j.created_at, j.priority,
           (j.policy ->> 'in_flight_items_max')::int AS items_max,
           (j.policy ->> 'rate_items_max') IS NOT NULL AS rated, p.pipeline AS limited
    FROM joblot_job j
    JOIN joblot_stage s ON s.job_id = j.id
    LEFT JOIN limited p ON p.pipeline = s.pipeline
    WHERE p.at_limit IS NOT TRUE AND j.status IN ({CLAIMABLE})
      AND s.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
      AND (%(job)s::bigint IS NULL OR j.id = %(job)s::bigint)
      AND (%(projects)s::jsonb IS NULL
           OR j.project IN (SELECT jsonb_array_elements_text(%(projects)s::jsonb)))
), probed AS MATERIALIZED (
    SELECT s.*, (
        SELECT true FROM joblot_range r
        WHERE (r.job_id, r.stage, r.id) > (s.id, s.position, COALESCE(f.floor, 0))
          AND (r.job_id, r.stage) <= (s.id, s.position) AND r.not_before <= {now}
        ORDER BY r.job_id, r.stage, r.id
        LIMIT 1
    ) IS NOT NULL AS ready
    FROM served s
    LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
           ON f.job = s.id AND f.stage = s.position
)
SELECT id, position, project, items_max, ready, rated, limited
FROM (
    SELECT p.*, bool_or(ready) OVER (PARTITION BY id) AS any_ready FROM probed p
) c
WHERE any_ready
  AND (items_max IS NULL OR (
      SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
      WHERE l.job_id = c.id AND l.state = {LIVE}
  ) < items_max)
  AND NOT (rated AND EXISTS (
      SELECT 1 FROM joblot_rate x WHERE x.job_id = c.id AND x.next_at > {now}
  ))
ORDER BY EXTRACT(EPOCH FROM created_at)::float8 - priority * %(priority_step_seconds)s::float8,
         id, position DESC

-- purpose: whether a claimable job, within its limits and its pipeline's, has a range that is due, in a
--          stage that is served; not when, as those who wait on SQLite ask all the time
-- guard: none; a hint for long polling
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT q.pipeline, q.next_at, COALESCE(
               q.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[q.pipeline]}), 0
           ) AS is_full
    FROM joblot_pipeline_limit q
    WHERE q.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
)
SELECT EXISTS (
    SELECT 1
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
    WHERE j.status IN ({CLAIMABLE})
      AND j.deleted_at IS NULL
      AND NOT (json_extract(j.policy, '$.rate_items_max') IS NOT NULL AND EXISTS (
          SELECT 1 FROM joblot_rate x WHERE x.job_id = j.id AND x.next_at > {now}
      ))
      AND NOT EXISTS (
          SELECT 1 FROM limited p
          WHERE p.pipeline = s.pipeline AND (p.next_at > {now} OR p.is_full)
      )
      AND COALESCE(json_extract(j.policy, '$.in_flight_items_max') > (
          SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l {by_state}
          WHERE l.job_id = j.id AND l.state = {LIVE}
      ), 1)
      AND s.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
      AND (%(job)s IS NULL OR j.id = %(job)s)
      AND (%(projects)s IS NULL OR j.project IN (SELECT value FROM json_each(%(projects)s)))
      AND %(floors)s IS NOT NULL
      AND EXISTS (
          SELECT 1 FROM joblot_range r
          WHERE r.job_id = s.job_id AND r.stage = s.position AND r.not_before <= {now}
      )
), NULL
WHERE %(rows)s IS NOT NULL AND %(cap_seconds)s IS NOT NULL

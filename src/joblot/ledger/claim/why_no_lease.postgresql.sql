-- purpose: why a claim found nothing: whether the pipelines are known, and what blocks their open
--          items; and in how many seconds something may be ready, judged by a bounded number of
--          ranges and leases; and when the worker that asks was revoked
-- guard: none
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT q.pipeline, q.next_at, q.in_flight_items_max IS NOT NULL
           AND q.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[q.pipeline]}) AS is_full
    FROM joblot_pipeline_limit q
    WHERE q.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
), served AS MATERIALIZED (
    -- Materialized first, so that other pipelines' rows are never read.
    SELECT j.id AS job, s.position AS stage, j.status,
           (j.policy ->> 'in_flight_items_max')::int AS items_max,
           GREATEST(CASE WHEN j.policy ->> 'rate_items_max' IS NOT NULL THEN (
               SELECT x.next_at FROM joblot_rate x WHERE x.job_id = j.id AND x.next_at > {now}
           ) END, CASE WHEN p.next_at > {now} THEN p.next_at END) AS rate_at,
           COALESCE(p.is_full, false) AS pipeline_full
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
    LEFT JOIN limited p ON p.pipeline = s.pipeline
    WHERE j.status IN ({CLAIMABLE}, 'PAUSED')
      AND s.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
      AND (%(job)s::bigint IS NULL OR j.id = %(job)s::bigint)
      AND (%(projects)s::jsonb IS NULL
           OR j.project IN (SELECT jsonb_array_elements_text(%(projects)s::jsonb)))
)
SELECT EXISTS (
           SELECT 1 FROM joblot_stage
           WHERE pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
       ),
       COALESCE(bool_or(o.status = 'PAUSED'), false),
       COALESCE(bool_or(o.status <> 'PAUSED'), false),
       COALESCE(bool_or(o.status <> 'PAUSED' AND o.due <= {now} AND (
           o.rate_at IS NOT NULL OR o.pipeline_full
           OR o.items_max IS NOT NULL AND o.items_max <= (
               SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
               WHERE l.job_id = o.job AND l.state = {LIVE}
           )
       )), false),
       EXTRACT(EPOCH FROM min(LEAST(GREATEST(o.due, o.rate_at), o.ends)) FILTER (WHERE o.status <> 'PAUSED') - {now}),
       (SELECT w.revoked_at FROM joblot_worker w
        WHERE w.owner = %(owner)s::bigint AND w.instance = %(worker)s::varchar
          AND w.revoked_at IS NOT NULL)
FROM (
    SELECT j.job, j.status, j.items_max, j.rate_at, j.pipeline_full, waiting.due, held.ends
    FROM served j
    LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
           ON f.job = j.job AND f.stage = j.stage
    CROSS JOIN LATERAL (
        SELECT min(soonest.not_before) AS due FROM (
            SELECT r.not_before FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (j.job, j.stage, COALESCE(f.floor, 0))
              AND (r.job_id, r.stage) <= (j.job, j.stage)
            ORDER BY r.job_id, r.stage, r.id
            LIMIT %(rows)s
        ) soonest
    ) waiting
    CROSS JOIN LATERAL (
        SELECT min(taken.expires_at) AS ends FROM (
            SELECT l.expires_at FROM joblot_lease l
            WHERE (l.job_id, l.state, l.stage) >= (j.job, {LIVE}, j.stage)
              AND (l.job_id, l.state, l.stage) <= (j.job, {LIVE}, j.stage)
            ORDER BY l.job_id, l.state, l.stage
            LIMIT %(rows)s
        ) taken
    ) held
    WHERE waiting.due IS NOT NULL OR held.ends IS NOT NULL
) o

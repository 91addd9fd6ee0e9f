-- purpose: why a claim found nothing: whether the pipelines are known, and what stands in the way of
--          what is open in them; and in how many seconds something may be ready
-- guard: none
-- locks: none
WITH served AS MATERIALIZED (
    -- First of all: what belongs to other pipelines is never looked into.
    SELECT j.id AS job, s.position AS stage, j.status,
           (j.policy ->> 'in_flight_items_max')::int AS items_max
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
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
       COALESCE(bool_or(o.status <> 'PAUSED' AND o.due <= {now} AND o.items_max <= (
           SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
           WHERE l.job_id = o.job AND l.state = {LIVE}
       )), false),
       EXTRACT(EPOCH FROM min(LEAST(o.due, o.ends)) FILTER (WHERE o.status <> 'PAUSED') - {now})
FROM (
    SELECT j.job, j.status, j.items_max, waiting.due, held.ends
    FROM served j
    LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
           ON f.job = j.job AND f.stage = j.stage
    CROSS JOIN LATERAL (
        SELECT min(soonest.not_before) AS due FROM (
            SELECT r.not_before FROM joblot_range r
            WHERE r.job_id = j.job AND r.stage = j.stage AND r.id > COALESCE(f.floor, 0)
            ORDER BY r.id
            LIMIT %(ranges)s
        ) soonest
    ) waiting
    CROSS JOIN LATERAL (
        -- Without a LIMIT, which would make reading the whole table look cheap.
        SELECT min(l.expires_at) AS ends FROM joblot_lease l
        WHERE l.job_id = j.job AND l.stage = j.stage AND l.state = {LIVE}
    ) held
    WHERE waiting.due IS NOT NULL OR held.ends IS NOT NULL
) o

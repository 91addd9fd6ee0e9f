-- purpose: whether a claimable job, within its limits and its pipeline's, has a range that is due, in a
--          stage that is served; and, if none has, in how many seconds one is, judged by a bounded
--          number of ranges of each stage. At a cap these are `cap_seconds`, after which to ask
--          again, because no notification is sent when an item is settled
-- guard: none; a hint for long polling
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT q.pipeline, GREATEST(
               CASE WHEN q.next_at > {now} THEN q.next_at END,
               CASE WHEN q.in_flight_items_max IS NOT NULL
                     AND q.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[q.pipeline]})
                    THEN {now} + make_interval(secs => %(cap_seconds)s::float8) END
           ) AS until
    FROM joblot_pipeline_limit q
    WHERE q.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
), served AS MATERIALIZED (
    SELECT j.id AS job, s.position AS stage, COALESCE(f.floor, 0) AS floor,
           GREATEST(x.next_at, p.until, CASE
               WHEN j.policy ->> 'in_flight_items_max' IS NOT NULL
                AND (j.policy ->> 'in_flight_items_max')::int <= (
                   SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
                   WHERE l.job_id = j.id AND l.state = {LIVE}
               ) THEN {now} + make_interval(secs => %(cap_seconds)s::float8)
           END) AS limited_until
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
    LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
           ON f.job = j.id AND f.stage = s.position
    LEFT JOIN joblot_rate x
           ON x.job_id = j.id AND j.policy ->> 'rate_items_max' IS NOT NULL AND x.next_at > {now}
    LEFT JOIN limited p ON p.pipeline = s.pipeline
    WHERE j.status IN ({CLAIMABLE})
      AND j.deleted_at IS NULL
      AND s.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
      AND (%(job)s::bigint IS NULL OR j.id = %(job)s::bigint)
      AND (%(projects)s::jsonb IS NULL
           OR j.project IN (SELECT jsonb_array_elements_text(%(projects)s::jsonb)))
), due AS MATERIALIZED (
    SELECT EXISTS (
        SELECT 1
        FROM served c
        WHERE c.limited_until IS NULL AND (
            SELECT 1 FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (c.job, c.stage, c.floor)
              AND (r.job_id, r.stage) <= (c.job, c.stage) AND r.not_before <= {now}
            ORDER BY r.job_id, r.stage, r.id
            LIMIT 1
        ) = 1
    ) AS now
)
SELECT d.now, CASE WHEN NOT d.now THEN (
    SELECT EXTRACT(EPOCH FROM min(later.due) - {now})
    FROM served c
    CROSS JOIN LATERAL (
        SELECT GREATEST(min(soonest.not_before), c.limited_until) AS due FROM (
            SELECT r.not_before FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (c.job, c.stage, c.floor)
              AND (r.job_id, r.stage) <= (c.job, c.stage)
            ORDER BY r.job_id, r.stage, r.id
            LIMIT %(rows)s
        ) soonest
        HAVING count(*) > 0
    ) later
) END
FROM due d

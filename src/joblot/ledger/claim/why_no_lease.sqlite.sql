-- purpose: why a claim found nothing: whether the pipelines are known, and what blocks their open
--          items; and in how many seconds something may be ready, judged by a bounded number of
--          ranges and leases; and when the worker that asks was revoked
-- guard: none
-- locks: none
WITH limited AS MATERIALIZED (
    SELECT q.pipeline, q.next_at, COALESCE(
               q.in_flight_items_max <= ({PIPELINE_IN_FLIGHT[q.pipeline]}), 0
           ) AS is_full
    FROM joblot_pipeline_limit q
    WHERE q.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
)
SELECT EXISTS (
           SELECT 1 FROM joblot_stage
           WHERE pipeline IN (SELECT value FROM json_each(%(pipelines)s))
       ),
       COALESCE(max(o.status = 'PAUSED'), 0),
       COALESCE(max(o.status <> 'PAUSED'), 0),
       COALESCE(max(o.status <> 'PAUSED' AND o.due <= {now} AND (
           o.rate_at IS NOT NULL OR o.pipeline_full OR COALESCE(o.items_max <= (
               SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l {by_state}
               WHERE l.job_id = o.job AND l.state = {LIVE}
           ), 0)
       )), 0),
       (julianday(min(COALESCE(min(o.since, o.ends), o.since, o.ends))
            FILTER (WHERE o.status <> 'PAUSED')) - julianday({now})) * 86400.0,
       (SELECT w.revoked_at FROM joblot_worker w
        WHERE w.owner = %(owner)s AND w.instance = %(worker)s AND w.revoked_at IS NOT NULL)
FROM (
    SELECT w.*, COALESCE(max(w.due, w.rate_at), w.due) AS since
    FROM (
    SELECT j.id AS job, j.status,
           json_extract(j.policy, '$.in_flight_items_max') AS items_max,
           NULLIF(max(
               COALESCE(CASE WHEN json_extract(j.policy, '$.rate_items_max') IS NOT NULL THEN (
                   SELECT x.next_at FROM joblot_rate x WHERE x.job_id = j.id AND x.next_at > {now}
               ) END, ''),
               COALESCE(CASE WHEN p.next_at > {now} THEN p.next_at END, '')
           ), '') AS rate_at,
           COALESCE(p.is_full, 0) AS pipeline_full,
           (SELECT min(soonest.not_before) FROM (
                SELECT r.not_before FROM joblot_range r
                WHERE r.job_id = j.id AND r.stage = s.position
                ORDER BY r.id
                LIMIT %(rows)s
            ) soonest) AS due,
           (SELECT min(taken.expires_at) FROM (
                SELECT l.expires_at FROM joblot_lease l {by_state}
                WHERE l.job_id = j.id AND l.state = {LIVE} AND l.stage = s.position
                LIMIT %(rows)s
            ) taken) AS ends
    FROM joblot_job j
    JOIN joblot_stage s ON s.job_id = j.id
    LEFT JOIN limited p ON p.pipeline = s.pipeline
    WHERE j.status IN ({CLAIMABLE}, 'PAUSED')
      AND s.pipeline IN (SELECT value FROM json_each(%(pipelines)s))
      AND (%(job)s IS NULL OR j.id = %(job)s)
      AND (%(projects)s IS NULL OR j.project IN (SELECT value FROM json_each(%(projects)s)))
    ) w
) o
WHERE o.due IS NOT NULL OR o.ends IS NOT NULL

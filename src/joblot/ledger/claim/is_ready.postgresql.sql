-- purpose: whether a claimable job, within its rate, has a range that is due, in a stage that is served
-- guard: none; a hint for long polling
-- locks: none
WITH served AS MATERIALIZED (
    SELECT j.id AS job, s.position AS stage
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
    WHERE j.status IN ({CLAIMABLE})
      AND j.deleted_at IS NULL
      AND NOT (j.policy ->> 'rate_items_max' IS NOT NULL AND EXISTS (
          SELECT 1 FROM joblot_rate x WHERE x.job_id = j.id AND x.next_at > {now}
      ))
      AND s.pipeline IN (SELECT jsonb_array_elements_text(%(pipelines)s::jsonb))
      AND (%(job)s::bigint IS NULL OR j.id = %(job)s::bigint)
      AND (%(projects)s::jsonb IS NULL
           OR j.project IN (SELECT jsonb_array_elements_text(%(projects)s::jsonb)))
)
SELECT EXISTS (
    SELECT 1
    FROM served c
    LEFT JOIN jsonb_to_recordset(%(floors)s::jsonb) AS f (job bigint, stage int, floor bigint)
           ON f.job = c.job AND f.stage = c.stage
    WHERE (
        SELECT 1 FROM joblot_range r
        WHERE (r.job_id, r.stage, r.id) > (c.job, c.stage, COALESCE(f.floor, 0))
          AND (r.job_id, r.stage) <= (c.job, c.stage) AND r.not_before <= {now}
        ORDER BY r.job_id, r.stage, r.id
        LIMIT 1
    ) = 1
)

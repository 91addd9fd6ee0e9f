-- purpose: grant a lease on items of ranges that the caller has locked, take them out of the queue,
--          and read everything that their worker needs
-- guard: the job is claimable, it and the owner are within their caps, the worker is not revoked,
--        and the key is unused: read in this statement, after the ranges were locked
-- locks: the new lease; the ranges are the caller's
WITH granted AS (
    INSERT INTO joblot_lease (
        token, job_id, run, stage, state, size, open, ranges, gone, worker, owner, idempotency_key,
        asked, claimed_at, expires_at
    )
    SELECT %(token)s, j.id, j.run, %(stage)s, {LIVE}, %(size)s, %(size)s, %(ranges)s, '[]',
           %(worker)s::varchar, %(owner)s::bigint, %(idempotency_key)s, %(asked)s::bytea,
           {now}, {now} + make_interval(secs => j.lease_seconds)
    FROM (
        SELECT id, run, status, (policy ->> 'lease_seconds')::float8 AS lease_seconds,
               (policy ->> 'in_flight_items_max')::int AS items_max
        FROM joblot_job
    ) j
    WHERE j.id = %(job)s AND j.status IN ({CLAIMABLE})
      AND (j.items_max IS NULL OR (
          SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
          WHERE l.job_id = %(job)s AND l.state = {LIVE}
      ) < j.items_max)
      AND (%(owner_items_max)s::int IS NULL OR (
          SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
          WHERE l.owner = %(owner)s::bigint AND l.state = {LIVE}
      ) < %(owner_items_max)s::int)
      AND NOT EXISTS (
          SELECT 1 FROM joblot_worker w
          WHERE w.owner = COALESCE(%(owner)s::bigint, 0) AND w.instance = %(worker)s::varchar
                AND w.revoked_at IS NOT NULL
      )
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING job_id, run, stage, expires_at
), used_up AS (
    DELETE FROM joblot_range WHERE id = ANY(%(whole)s::bigint[]) AND EXISTS (SELECT 1 FROM granted)
), cut AS (
    UPDATE joblot_range SET next = %(next)s::int
    WHERE id = %(part)s::bigint AND EXISTS (SELECT 1 FROM granted)
)
SELECT g.run, g.expires_at, j.status, j.version, j.config, j.trace,
       (j.policy ->> 'lease_seconds')::float8, s.name, s.pipeline,
       (SELECT json_agg(json_build_array(i.number, i.key, i.payload))::text
        FROM unnest(%(numbers)s::int[]) AS asked (number)
        CROSS JOIN LATERAL (
            SELECT number, key, payload FROM joblot_item
            WHERE job_id = %(job)s AND number = asked.number
            LIMIT 1
        ) i)
FROM granted g
JOIN joblot_job j ON j.id = g.job_id
JOIN joblot_stage s ON s.job_id = g.job_id AND s.position = g.stage

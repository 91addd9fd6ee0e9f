-- purpose: whole reports of several leases in one statement: settle, queue the next stage, credit
--          the leases, count; `report_1` is the same for one lease
-- guard: what the receipt table counts (COUNTED), of items the lease was granted; an item that has
--        an outcome in this stage is left alone. A lease that another transaction holds is skipped,
--        and its report goes alone; so is one of a pipeline with a hook, or of a revoked worker
-- locks: own leases, without waiting; items by job, stage and number, slots by job and stage
--        (tallies, then metrics)
WITH asked AS MATERIALIZED (
    SELECT a.token, a.results
    FROM jsonb_to_recordset(%(reports)s::jsonb) AS a (token uuid, results jsonb)
), held AS MATERIALIZED (
    SELECT l.token, l.job_id, l.run, l.stage, l.state, l.ranges, l.gone,
           (SELECT max(s.position) FROM joblot_stage s WHERE s.job_id = l.job_id) AS last_stage
    FROM joblot_lease l
    WHERE l.token = ANY (%(tokens)s::uuid[])
      AND (
          SELECT w.revoked_at FROM joblot_worker w
          WHERE w.owner = COALESCE(l.owner, 0) AND w.instance = l.worker
                AND w.revoked_at IS NOT NULL LIMIT 1
      ) IS NULL
      AND NOT EXISTS ( -- if hooked
          SELECT 1 FROM joblot_stage s -- if hooked
          WHERE s.job_id = l.job_id AND s.position = l.stage -- if hooked
                AND s.pipeline = ANY (%(hooked)s::text[]) -- if hooked
      ) -- if hooked
    FOR UPDATE SKIP LOCKED
), moved AS (
    INSERT INTO joblot_outcome (
        job_id, stage, number, run, state, hash, output, output_ref, metrics,
        error_type, error_message, error_cause, error_traceback, lease_token, settled_at
    )
    SELECT h.job_id, h.stage, p.number, h.run, p.state, decode(p.hash, 'hex'), p.output,
           p.output_ref, p.metrics, p.error ->> 'type', p.error ->> 'message',
           p.error ->> 'cause', p.error ->> 'traceback', h.token, {now}
    FROM held h
    JOIN asked a ON a.token = h.token
    CROSS JOIN LATERAL jsonb_to_recordset(a.results) AS p (
        number int, state smallint, hash text, output jsonb, output_ref text, metrics jsonb,
        error jsonb
    )
    WHERE (h.state, h.gone @> to_jsonb(p.number), p.state) IN ({COUNTED})
      AND EXISTS (
        SELECT 1 FROM jsonb_array_elements(h.ranges) r
        WHERE p.number BETWEEN (r ->> 0)::int AND (r ->> 1)::int
    )
    ORDER BY h.job_id, h.stage, p.number
    ON CONFLICT (job_id, stage, number) DO NOTHING
    RETURNING lease_token, number, state, metrics
), counts AS MATERIALIZED (
    SELECT h.token, h.job_id, h.stage,
           count(*) FILTER (WHERE m.state = {SUCCEEDED}) AS succeeded,
           count(*) FILTER (WHERE m.state = {FAILED}) AS failed,
           count(*) FILTER (WHERE NOT h.gone @> to_jsonb(m.number)) AS credited
    FROM moved m
    JOIN held h ON h.token = m.lease_token
    GROUP BY h.token, h.job_id, h.stage
), queued AS (
    INSERT INTO joblot_range (job_id, stage, next, last, not_before)
    SELECT job_id, stage + 1, min(number), max(number), {now}
    FROM (
        SELECT h.job_id, h.stage, m.number,
               m.number - row_number() OVER (
                   PARTITION BY h.job_id, h.stage ORDER BY m.number
               ) AS island
        FROM moved m
        JOIN held h ON h.token = m.lease_token AND h.stage < h.last_stage
        WHERE m.state = {SUCCEEDED}
    ) i
    GROUP BY job_id, stage, island
), credited AS (
    UPDATE joblot_lease l
    SET open = l.open - c.credited,
        state = CASE WHEN l.open = c.credited THEN {SPENT} ELSE {LIVE} END
    FROM counts c
    WHERE l.token = c.token AND l.state = {LIVE} AND c.credited > 0
), tallied AS (
    INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, skipped)
    SELECT c.job_id, s.position, {slot},
           sum(CASE WHEN s.position = c.stage THEN c.succeeded ELSE 0 END),
           sum(CASE WHEN s.position = c.stage THEN c.failed ELSE 0 END),
           sum(CASE WHEN s.position > c.stage THEN c.failed ELSE 0 END)
    FROM counts c
    JOIN joblot_stage s ON s.job_id = c.job_id
    WHERE s.position = c.stage OR (s.position > c.stage AND c.failed > 0)
    GROUP BY c.job_id, s.position
    ORDER BY c.job_id, s.position
    ON CONFLICT (job_id, stage, slot) DO UPDATE SET
        succeeded = joblot_tally.succeeded + excluded.succeeded,
        failed = joblot_tally.failed + excluded.failed,
        skipped = joblot_tally.skipped + excluded.skipped
    RETURNING 1
), metered AS (
    -- Reading `tallied` is what makes the metrics' slots come after the tallies'.
    INSERT INTO joblot_metric (job_id, stage, slot, name, value)
    SELECT h.job_id, h.stage, {slot}, e.name, sum(e.value::bigint)
    FROM moved m
    JOIN held h ON h.token = m.lease_token
         AND m.state = {SUCCEEDED} AND (SELECT count(*) FROM tallied) > 0
    CROSS JOIN LATERAL jsonb_each_text(m.metrics) AS e (name, value)
    GROUP BY h.job_id, h.stage, e.name
    ORDER BY h.job_id, h.stage, e.name
    ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
        value = joblot_metric.value + excluded.value
)
SELECT h.token, h.job_id,
       (SELECT array_agg(m.number) FROM moved m WHERE m.lease_token = h.token) AS moved,
       COALESCE((SELECT c.failed FROM counts c WHERE c.token = h.token), 0) AS failed
FROM held h

-- purpose: a whole report in one statement: settle, queue the next stage, credit the lease, count
-- guard: successes through a lease that is not closed, failures through one that is live or spent,
--        of items the lease was granted; an item that has an outcome in this stage is left alone
-- locks: own lease, items by number, slots by stage (tallies, then metrics)
WITH held AS MATERIALIZED (
    SELECT l.token, l.job_id, l.run, l.stage, l.state, l.ranges, l.gone,
           (SELECT max(s.position) FROM joblot_stage s WHERE s.job_id = l.job_id) AS last_stage
    FROM joblot_lease l
    WHERE l.token = %(token)s::uuid
    FOR UPDATE
), posted AS MATERIALIZED (
    SELECT p.*
    FROM jsonb_to_recordset(%(posted)s::jsonb) AS p (
        number int, state smallint, hash text, output jsonb, output_ref text, metrics jsonb,
        error_type text, error_message text
    )
), moved AS (
    INSERT INTO joblot_outcome (
        job_id, stage, number, run, state, hash, output, output_ref, metrics,
        error_type, error_message, lease_token, settled_at
    )
    SELECT h.job_id, h.stage, p.number, h.run, p.state, decode(p.hash, 'hex'), p.output,
           p.output_ref, p.metrics, p.error_type, p.error_message, h.token, {now}
    FROM held h
    JOIN posted p ON h.state IN ({HOLDING}) OR (p.state = {SUCCEEDED} AND h.state = {EXPIRED})
    WHERE EXISTS (
        SELECT 1 FROM jsonb_array_elements(h.ranges) r
        WHERE p.number BETWEEN (r ->> 0)::int AND (r ->> 1)::int
    )
    AND NOT (p.state <> {SUCCEEDED} AND h.gone @> to_jsonb(p.number))
    ORDER BY p.number
    ON CONFLICT (job_id, stage, number) DO NOTHING
    RETURNING number, state, metrics
), counts AS MATERIALIZED (
    SELECT count(*) AS moved,
           count(*) FILTER (WHERE m.state = {SUCCEEDED}) AS succeeded,
           count(*) FILTER (WHERE m.state = {FAILED}) AS failed,
           count(*) FILTER (WHERE NOT h.gone @> to_jsonb(m.number)) AS credited
    FROM moved m CROSS JOIN held h
), queued AS (
    INSERT INTO joblot_range (job_id, stage, next, last, not_before)
    SELECT h.job_id, h.stage + 1, min(m.number), max(m.number), {now}
    FROM (
        SELECT number, number - row_number() OVER (ORDER BY number) AS island
        FROM moved WHERE state = {SUCCEEDED}
    ) m
    JOIN held h ON h.stage < h.last_stage
    GROUP BY h.job_id, h.stage, m.island
), credited AS (
    UPDATE joblot_lease l
    SET open = l.open - c.credited,
        state = CASE WHEN l.open = c.credited THEN {SPENT} ELSE {LIVE} END
    FROM counts c
    WHERE l.token = %(token)s::uuid AND l.state = {LIVE} AND c.credited > 0
), tallied AS (
    INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, skipped)
    SELECT h.job_id, s.position, {slot},
           CASE WHEN s.position = h.stage THEN c.succeeded ELSE 0 END,
           CASE WHEN s.position = h.stage THEN c.failed ELSE 0 END,
           CASE WHEN s.position > h.stage THEN c.failed ELSE 0 END
    FROM held h
    CROSS JOIN counts c
    JOIN joblot_stage s ON s.job_id = h.job_id
    WHERE c.moved > 0
      AND (s.position = h.stage OR (s.position > h.stage AND c.failed > 0))
    ORDER BY s.position
    ON CONFLICT (job_id, stage, slot) DO UPDATE SET
        succeeded = joblot_tally.succeeded + excluded.succeeded,
        failed = joblot_tally.failed + excluded.failed,
        skipped = joblot_tally.skipped + excluded.skipped
    RETURNING 1
), metered AS (
    -- Reading `tallied` is what makes the metrics' slots come after the tallies'.
    INSERT INTO joblot_metric (job_id, stage, slot, name, value)
    SELECT h.job_id, h.stage, {slot}, e.name, sum(e.value::bigint)
    FROM held h
    JOIN moved m ON m.state = {SUCCEEDED} AND (SELECT count(*) FROM tallied) > 0
    CROSS JOIN LATERAL jsonb_each_text(m.metrics) AS e (name, value)
    GROUP BY h.job_id, h.stage, e.name
    ORDER BY e.name
    ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
        value = joblot_metric.value + excluded.value
)
SELECT h.job_id, (SELECT array_agg(m.number) FROM moved m) AS moved
FROM held h

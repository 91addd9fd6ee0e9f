-- purpose: settle simple results of one lease, credit the lease, and queue the next stage; the slots
--          are left to the caller (`joblot_count_1`), because they come last in the order of locks.
--          `job` is null if nothing may be settled here: the lease is unknown, or its worker is
--          revoked, or, with `shared`, another transaction holds it. With `hooked`, returns in
--          addition what the hook of the pipeline is called with
-- guard: what the receipt table counts (COUNTED), of items the lease was granted; an item that has an
--        outcome in this stage is left alone. All is read after the lease was locked
-- locks: the lease (with `shared`, only if it is free); items by number
CREATE OR REPLACE FUNCTION joblot_settle_1(
    clock timestamptz,
    token uuid,
    results jsonb,
    shared boolean,
    hooked boolean,
    OUT job bigint,
    OUT run int,
    OUT stage smallint,
    OUT moved int[],
    OUT succeeded int,
    OUT failed int,
    OUT metrics jsonb,
    OUT stage_name varchar,
    OUT pipeline varchar,
    OUT config text,
    OUT numbers int[],
    OUT keys text[],
    OUT payloads text[]
) LANGUAGE plpgsql VOLATILE SET jit = off AS $settle$
#variable_conflict use_column
DECLARE
    held record;
    credited int;
    passed int[];
BEGIN
    IF shared THEN
        -- step: lock the lease if it is free
        SELECT l.job_id, l.run, l.stage, l.state, l.owner, l.worker,
               (
                   SELECT range_agg(int4range((s ->> 0)::int, (s ->> 1)::int, '[]'))
                   FROM jsonb_array_elements(l.ranges) s
               ) AS spans,
               ARRAY(SELECT n::int FROM jsonb_array_elements_text(l.gone) n) AS given_back
        INTO held
        FROM joblot_lease l
        WHERE l.token = joblot_settle_1.token
        FOR UPDATE SKIP LOCKED;
    ELSE
        -- step: lock the lease
        SELECT l.job_id, l.run, l.stage, l.state, l.owner, l.worker,
               (
                   SELECT range_agg(int4range((s ->> 0)::int, (s ->> 1)::int, '[]'))
                   FROM jsonb_array_elements(l.ranges) s
               ) AS spans,
               ARRAY(SELECT n::int FROM jsonb_array_elements_text(l.gone) n) AS given_back
        INTO held
        FROM joblot_lease l
        WHERE l.token = joblot_settle_1.token
        FOR UPDATE;
    END IF;
    IF held.job_id IS NULL THEN
        RETURN;
    END IF;
    IF held.worker <> '' THEN
        -- step: look for a revocation
        PERFORM 1
        FROM joblot_worker w
        WHERE w.owner = COALESCE(held.owner, 0) AND w.instance = held.worker
          AND w.revoked_at IS NOT NULL;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    job := held.job_id;
    run := held.run;
    stage := held.stage;

    -- step: settle
    WITH moved AS (
        INSERT INTO joblot_outcome (
            job_id, stage, number, run, state, hash, output, output_ref, metrics,
            error_type, error_message, error_cause, error_traceback, lease_token, settled_at
        )
        SELECT held.job_id, held.stage, p.number, held.run, p.state, decode(p.hash, 'hex'),
               p.output, p.output_ref, p.metrics, p.error ->> 'type', p.error ->> 'message',
               p.error ->> 'cause', p.error ->> 'traceback', joblot_settle_1.token, {now}
        FROM jsonb_to_recordset(results) AS p (
            number int, state smallint, hash text, output jsonb, output_ref text, metrics jsonb,
            error jsonb
        )
        WHERE (held.state, p.number = ANY (held.given_back), p.state) IN ({COUNTED})
          AND held.spans @> p.number
        ORDER BY p.number
        ON CONFLICT (job_id, stage, number) DO NOTHING
        RETURNING number, state, metrics
    )
    SELECT array_agg(m.number), array_agg(m.number) FILTER (WHERE m.state = {SUCCEEDED}),
           count(*) FILTER (WHERE m.state = {FAILED}),
           count(*) FILTER (WHERE m.number <> ALL (held.given_back)),
           jsonb_agg(m.metrics) FILTER (WHERE m.metrics IS NOT NULL AND m.state = {SUCCEEDED})
    INTO moved, passed, failed, credited, metrics
    FROM moved m;
    succeeded := COALESCE(cardinality(passed), 0);
    IF moved IS NULL THEN
        RETURN;
    END IF;

    IF passed IS NOT NULL THEN
        -- step: look for a next stage
        PERFORM 1
        FROM joblot_stage s
        WHERE s.job_id = held.job_id AND s.position = held.stage + 1;
        IF FOUND THEN
            -- step: queue the next stage
            INSERT INTO joblot_range (job_id, stage, next, last, not_before)
            SELECT held.job_id, held.stage + 1, min(i.number), max(i.number), {now}
            FROM (
                SELECT n.number, n.number - row_number() OVER (ORDER BY n.number) AS island
                FROM unnest(passed) AS n (number)
            ) i
            GROUP BY i.island;
        END IF;
    END IF;
    IF held.state = {LIVE} AND credited > 0 THEN
        -- step: credit the lease
        UPDATE joblot_lease l
        SET open = l.open - credited,
            state = CASE WHEN l.open = credited THEN {SPENT} ELSE {LIVE} END
        WHERE l.token = joblot_settle_1.token;
    END IF;

    IF hooked THEN
        -- step: read the job
        SELECT s.name, s.pipeline, CASE WHEN j.run = held.run THEN j.config::text END
        INTO stage_name, pipeline, config
        FROM joblot_stage s
        JOIN joblot_job j ON j.id = s.job_id
        WHERE s.job_id = held.job_id AND s.position = held.stage;
        -- step: read the items
        SELECT array_agg(i.number ORDER BY i.number), array_agg(i.key ORDER BY i.number),
               array_agg(i.payload::text ORDER BY i.number)
        INTO numbers, keys, payloads
        FROM unnest(passed) AS asked (number)
        CROSS JOIN LATERAL (
            SELECT t.number, t.key, t.payload
            FROM joblot_item t
            WHERE t.job_id = held.job_id AND t.number = asked.number
            LIMIT 1
        ) i;
    END IF;
END $settle$;

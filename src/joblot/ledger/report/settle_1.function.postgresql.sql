-- purpose: settle simple results of one lease, credit the lease, and queue the next stage; the slots
--          are left to the caller (`joblot_count_1`), because they come last in the order of locks.
--          All of the results are settled or none: then `succeeded` is null, and they are to be judged.
--          `job` is null if none may be settled here: the lease is unknown, or its worker is revoked.
--          Of each result there is its item's number, 32 bytes of `hashes`, and in two arrays of JSON its
--          output, and what else it has: `state`, with the columns of its error, or `metrics`. Both are
--          null if no result has any
-- guard: what the receipt table counts (COUNTED), of items the lease was granted, that have no outcome
--        in this stage: if one of them has, the primary key refuses all. All is read after the lease was
--        locked
-- locks: the lease; items by number
CREATE OR REPLACE FUNCTION joblot_settle_1(
    clock timestamptz,
    token uuid,
    numbers int[],
    hashes bytea,
    outputs jsonb,
    details jsonb,
    OUT job bigint,
    OUT run int,
    OUT stage smallint,
    OUT passed int[],
    OUT succeeded int,
    OUT failed int,
    OUT metrics jsonb
) LANGUAGE plpgsql VOLATILE AS $settle$
#variable_conflict use_column
DECLARE
    held record;
    spans int4multirange;
    given_back int[];
    settled int;
    credited int;
BEGIN
    -- step: lock the lease
    SELECT l.job_id, l.run, l.stage, l.state, l.owner, l.worker, l.ranges, l.gone
    INTO held
    FROM joblot_lease l
    WHERE l.token = joblot_settle_1.token
    FOR UPDATE;
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
    -- An output that is not the text of one value would shift those of others.
    IF jsonb_array_length(outputs) <> cardinality(numbers) THEN
        RETURN;
    END IF;
    IF jsonb_array_length(held.ranges) = 1 THEN
        spans := int4multirange(int4range(
            (held.ranges #>> '{{0,0}}')::int, (held.ranges #>> '{{0,1}}')::int, '[]'
        ));
    ELSE
        -- step: read its ranges
        SELECT range_agg(int4range((r ->> 0)::int, (r ->> 1)::int, '[]'))
        INTO spans
        FROM jsonb_array_elements(held.ranges) r;
    END IF;
    given_back := translate(held.gone::text, '[]', '{{}}')::int[];

    BEGIN
        -- step: settle
        INSERT INTO joblot_outcome (
            job_id, stage, number, run, state, hash, output, metrics,
            error_type, error_message, error_cause, error_traceback, lease_token, settled_at
        )
        SELECT held.job_id, held.stage, p.number, held.run, p.state,
               CASE WHEN p.state = {SUCCEEDED} THEN substr(hashes, p.place * 32 - 31, 32) END,
               NULLIF(p.output, 'null'), p.detail -> 'metrics', p.detail ->> 'type',
               p.detail ->> 'message', p.detail ->> 'cause', p.detail ->> 'traceback',
               joblot_settle_1.token, {now}
        FROM (
            SELECT r.number, r.output, r.detail, r.place::int,
                   COALESCE((r.detail ->> 'state')::smallint, {SUCCEEDED}) AS state
            FROM ROWS FROM (
                unnest(numbers), jsonb_array_elements(outputs), jsonb_array_elements(details)
            ) WITH ORDINALITY AS r (number, output, detail, place)
        ) p
        WHERE (held.state, array_position(given_back, p.number) IS NOT NULL, p.state) IN ({COUNTED})
          AND spans @> p.number
        ORDER BY p.number;
        GET DIAGNOSTICS settled = ROW_COUNT;
        IF settled < cardinality(numbers) THEN
            RAISE 'one of the results is not to be settled';
        END IF;
    EXCEPTION WHEN unique_violation OR raise_exception THEN
        RETURN;
    END;
    passed := numbers;
    failed := 0;
    IF details IS NOT NULL THEN
        -- step: read the details
        SELECT array_agg(r.number) FILTER (WHERE r.detail -> 'state' IS NULL),
               count(*) FILTER (WHERE (r.detail ->> 'state')::smallint = {FAILED}),
               jsonb_agg(r.detail -> 'metrics') FILTER (WHERE r.detail -> 'metrics' IS NOT NULL)
        INTO passed, failed, metrics
        FROM ROWS FROM (unnest(numbers), jsonb_array_elements(details)) AS r (number, detail);
    END IF;
    succeeded := settled - failed;

    IF succeeded > 0 THEN
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
    credited := settled;
    IF cardinality(given_back) > 0 THEN
        -- step: leave out what it gave back
        SELECT count(*)
        INTO credited
        FROM unnest(numbers) AS n (number)
        WHERE n.number <> ALL (given_back);
    END IF;
    IF held.state = {LIVE} AND credited > 0 THEN
        -- step: credit the lease
        UPDATE joblot_lease l
        SET open = l.open - credited,
            state = CASE WHEN l.open = credited THEN {SPENT} ELSE {LIVE} END
        WHERE l.token = joblot_settle_1.token;
    END IF;
END $settle$;

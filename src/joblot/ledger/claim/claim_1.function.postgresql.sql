-- purpose: claim items of the first of these stages that has a free range: lock it, and if it is
--          small, further ones; write the lease, take its items out of the queue, and read all that
--          their worker needs. Returns one row. Its `outcome` is `granted`; `none` if no range is
--          free; `settled` if the ranges held only items that have been settled since they came
--          back; or what refuses the claim, which has then changed nothing: `not_claimable`,
--          `job_at_limit`, `at_rate`, `pipeline_at_limit`, `owner_at_limit`, `revoked` or `key_taken`; or `alone`.
--          `place` is the stage's position in the arguments, from 1, and `range_id` the first range
-- guard: the job is claimable, it, its pipeline and the owner are within their limits, the worker is not revoked,
--        and the key is unused: read after the ranges were locked, each in a snapshot of its own
-- locks: the ranges by id, skipping locked ones; with `lock_wait`, the first range of the first
--        stage, waiting that long; then the rate of a job that has a limit; then the limit of a
--        pipeline that has one; then the new lease. A `lock_wait` of '' is for a claim that holds
--        other locks: it waits for no limit, and where there is one its outcome is `alone`
CREATE OR REPLACE FUNCTION joblot_claim_1(
    clock timestamptz,
    jobs bigint[],
    stages int[],
    afters bigint[],
    wanted int[],
    lock_wait text,
    token uuid,
    worker varchar,
    owner bigint,
    owner_items_max int,
    key varchar,
    asked bytea,
    OUT outcome text,
    OUT place int,
    OUT range_id bigint,
    OUT run int,
    OUT expires_at timestamptz,
    OUT status varchar,
    OUT version bigint,
    OUT config text,
    OUT trace varchar,
    OUT lease_seconds float8,
    OUT stage_name varchar,
    OUT pipeline varchar,
    OUT spans text,
    OUT items text,
    OUT inputs text
) LANGUAGE plpgsql VOLATILE SET jit = off AS $claim$
DECLARE
    moment CONSTANT timestamptz := {now};
    held joblot_range;
    taken joblot_range[];
    lasts int[];
    used_up bigint[];
    left_over int;
    came_back boolean := false;
    pieces jsonb := '[]';
    size int := 0;
    job_items_max int;
    rate_items int;
    rate_seconds float8;
    is_limited boolean; -- its pipeline
    items_left int;
    made record;
    granted_at timestamptz := moment;
    in_flight bigint;
    lock_wait_before text;
BEGIN
    place := 1;
    IF lock_wait <> '' THEN
        -- step: wait for a range
        lock_wait_before := current_setting('lock_timeout');
        PERFORM set_config('lock_timeout', lock_wait, true);
        BEGIN
            SELECT r.* INTO held
            FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (jobs[place], stages[place], afters[place])
              AND (r.job_id, r.stage) <= (jobs[place], stages[place]) AND r.not_before <= moment
            ORDER BY r.job_id, r.stage, r.id
            LIMIT 1
            FOR UPDATE;
        EXCEPTION WHEN lock_not_available THEN
            held := NULL;
        END;
        PERFORM set_config('lock_timeout', lock_wait_before, true);
    ELSE
        LOOP
            -- step: lock a free range
            SELECT r.* INTO held
            FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (jobs[place], stages[place], afters[place])
              AND (r.job_id, r.stage) <= (jobs[place], stages[place]) AND r.not_before <= moment
            ORDER BY r.job_id, r.stage, r.id
            LIMIT 1
            FOR UPDATE SKIP LOCKED;
            EXIT WHEN FOUND OR place = cardinality(jobs);
            place := place + 1;
        END LOOP;
    END IF;
    IF held.id IS NULL THEN
        outcome := 'none';
        RETURN;
    END IF;
    range_id := held.id;
    taken := ARRAY[held];
    left_over := CASE WHEN held.returns < 2 THEN wanted[place] ELSE 1 END;
    IF owner_items_max IS NOT NULL THEN
        -- step: count the owner's items in flight
        SELECT COALESCE(sum(l.open), 0) INTO in_flight
        FROM joblot_lease l
        WHERE l.owner = joblot_claim_1.owner AND l.state = {LIVE};
        IF in_flight >= owner_items_max THEN
            outcome := 'owner_at_limit';
            RETURN;
        END IF;
        left_over := LEAST(left_over, owner_items_max - in_flight);
    END IF;
    IF held.returns < 2 AND held.last - held.next + 1 < left_over THEN
        -- step: lock further small ranges
        SELECT taken || array_agg(m.r ORDER BY (m.r).id) INTO taken
        FROM (
            SELECT r
            FROM joblot_range r
            WHERE (r.job_id, r.stage, r.id) > (held.job_id, held.stage, held.id)
              AND (r.job_id, r.stage) <= (held.job_id, held.stage) AND r.not_before <= moment
              AND r.returns < 2 AND r.last - r.next < left_over - (held.last - held.next + 1)
            ORDER BY r.job_id, r.stage, r.id
            LIMIT left_over - (held.last - held.next + 1)
            FOR UPDATE SKIP LOCKED
        ) m;
    END IF;
    FOREACH held IN ARRAY taken LOOP
        EXIT WHEN left_over = 0;
        lasts := lasts || LEAST(held.last, held.next + left_over - 1);
        left_over := left_over - (lasts[cardinality(lasts)] - held.next + 1);
        came_back := came_back OR held.returns <> 0 OR held.failures > 0;
        size := size + lasts[cardinality(lasts)] - held.next + 1;
        pieces := pieces || jsonb_build_array(jsonb_build_array(
            held.next, lasts[cardinality(lasts)], held.failures, held.expiries, held.returns
        ));
        IF lasts[cardinality(lasts)] = held.last THEN
            used_up := used_up || held.id;
        END IF;
    END LOOP;
    held := taken[cardinality(lasts)];

    IF came_back THEN
        -- An item that came back may have been settled since, through a lease that has expired.
        -- step: leave out settled items
        SELECT COALESCE(jsonb_agg(
                   jsonb_build_array(i.first, i.last, i.failures, i.expiries, i.returns)
                   ORDER BY i.place, i.first
               ), '[]'), COALESCE(sum(i.last - i.first + 1), 0)
        INTO pieces, size
        FROM (
            SELECT o.place, min(o.number) AS first, max(o.number) AS last,
                   o.failures, o.expiries, o.returns
            FROM (
                SELECT p.ordinality AS place, n.number,
                       n.number - row_number() OVER (PARTITION BY p.ordinality ORDER BY n.number)
                           AS island,
                       (p.value ->> 2)::int AS failures, (p.value ->> 3)::int AS expiries,
                       (p.value ->> 4)::int AS returns
                FROM jsonb_array_elements(pieces) WITH ORDINALITY AS p (value, ordinality)
                CROSS JOIN LATERAL
                    generate_series((p.value ->> 0)::int, (p.value ->> 1)::int) AS n (number)
                LEFT JOIN LATERAL (
                    SELECT true AS settled
                    FROM joblot_outcome
                    WHERE job_id = held.job_id AND stage = held.stage AND number = n.number
                    LIMIT 1
                ) s ON true
                WHERE s.settled IS NULL
            ) o
            GROUP BY o.place, o.island, o.failures, o.expiries, o.returns
        ) i;
    END IF;

    IF size > 0 THEN
        -- step: read the job
        SELECT j.run, j.status, j.version, j.config::text, j.trace,
               (j.policy ->> 'lease_seconds')::float8, (j.policy ->> 'in_flight_items_max')::int,
               (j.policy ->> 'rate_items_max')::int, (j.policy ->> 'rate_seconds')::float8,
               s.name, s.pipeline,
               p.rate_items_max IS NOT NULL OR p.in_flight_items_max IS NOT NULL
        INTO run, status, version, config, trace, lease_seconds, job_items_max, rate_items,
             rate_seconds, stage_name, pipeline, is_limited
        FROM joblot_job j
        JOIN joblot_stage s ON s.job_id = j.id AND s.position = held.stage
        LEFT JOIN joblot_pipeline_limit p ON p.pipeline = s.pipeline
        WHERE j.id = held.job_id;
        IF (status IN ({CLAIMABLE})) IS NOT TRUE THEN
            outcome := 'not_claimable';
            RETURN;
        END IF;
        IF job_items_max IS NOT NULL THEN
            -- step: count the job's items in flight
            SELECT COALESCE(sum(l.open), 0) INTO in_flight
            FROM joblot_lease l
            WHERE l.job_id = held.job_id AND l.state = {LIVE};
            IF in_flight >= job_items_max THEN
                outcome := 'job_at_limit';
                RETURN;
            END IF;
        END IF;
        IF rate_items IS NOT NULL OR is_limited THEN
            IF lock_wait = '' THEN
                outcome := 'alone';
                RETURN;
            END IF;
            items_left := size;
            IF rate_items IS NOT NULL THEN
                items_left := LEAST(
                    size, joblot_rate_1(clock, held.job_id, rate_items, rate_seconds, 0)
                );
            END IF;
            IF items_left = 0 THEN
                outcome := 'at_rate';
                RETURN;
            END IF;
            IF is_limited THEN
                items_left := LEAST(items_left, joblot_pipeline_limit_1(clock, pipeline, 0));
            END IF;
            IF items_left = 0 THEN
                outcome := 'pipeline_at_limit';
                RETURN;
            END IF;
            IF items_left < size THEN
                -- The same range with fewer items; it is locked by this transaction.
                made := joblot_claim_1(
                    clock, ARRAY[held.job_id], ARRAY[held.stage::int], ARRAY[range_id - 1],
                    ARRAY[items_left], NULL, token, worker, owner, owner_items_max, key, asked
                );
                outcome := made.outcome;
                run := made.run;
                expires_at := made.expires_at;
                status := made.status;
                version := made.version;
                config := made.config;
                trace := made.trace;
                lease_seconds := made.lease_seconds;
                stage_name := made.stage_name;
                pipeline := made.pipeline;
                spans := made.spans;
                items := made.items;
                inputs := made.inputs;
                RETURN;
            END IF;
            granted_at := COALESCE(clock, clock_timestamp()); -- it may have waited for a limit
        END IF;
        IF worker <> '' THEN
            -- step: look for a revocation
            PERFORM 1
            FROM joblot_worker w
            WHERE w.owner = COALESCE(joblot_claim_1.owner, 0) AND w.instance = worker
              AND w.revoked_at IS NOT NULL;
            IF FOUND THEN
                outcome := 'revoked';
                RETURN;
            END IF;
        END IF;
        expires_at := granted_at + make_interval(secs => lease_seconds);
        -- step: write the lease
        INSERT INTO joblot_lease (
            token, job_id, run, stage, state, size, open, ranges, gone, worker, owner,
            idempotency_key, asked, claimed_at, expires_at
        )
        VALUES (
            token, held.job_id, run, held.stage, {LIVE}, size, size, pieces, '[]', worker,
            owner, key, asked, granted_at, expires_at
        )
        ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
        IF NOT FOUND THEN
            outcome := 'key_taken';
            RETURN;
        END IF;
        IF rate_items IS NOT NULL THEN
            items_left := joblot_rate_1(clock, held.job_id, rate_items, rate_seconds, size);
        END IF;
        IF is_limited THEN
            items_left := joblot_pipeline_limit_1(clock, pipeline, size);
        END IF;
    END IF;

    IF used_up IS NOT NULL THEN
        -- step: delete used-up ranges
        DELETE FROM joblot_range WHERE id = ANY (used_up);
    END IF;
    IF lasts[cardinality(lasts)] < held.last THEN
        -- step: cut the last range
        UPDATE joblot_range SET next = lasts[cardinality(lasts)] + 1 WHERE id = held.id;
    END IF;
    IF size = 0 THEN
        outcome := 'settled';
        RETURN;
    END IF;

    outcome := 'granted';
    spans := pieces::text;
    -- By BETWEEN: a comparison of rows does not end the walk of the index at the last item of a piece.
    -- step: read the items
    SELECT json_agg(
        CASE WHEN i.payload IS NULL THEN json_build_array(i.number, i.key)
             ELSE json_build_array(i.number, i.key, i.payload)
        END)::text INTO items
    FROM jsonb_array_elements(pieces) AS p (value)
    CROSS JOIN LATERAL (
        SELECT t.number, t.key, t.payload
        FROM joblot_item t
        WHERE t.job_id = held.job_id
          AND t.number BETWEEN (p.value ->> 0)::int AND (p.value ->> 1)::int
        ORDER BY t.job_id, t.number
        LIMIT size
    ) i;
    IF held.stage > 0 THEN
        -- step: read the outputs of the previous stage
        SELECT json_agg(json_build_array(i.number, i.output, i.output_ref))::text INTO inputs
        FROM jsonb_array_elements(pieces) AS p (value)
        CROSS JOIN LATERAL (
            SELECT o.number, o.output, o.output_ref
            FROM joblot_outcome o
            WHERE o.job_id = held.job_id AND o.stage = held.stage - 1
              AND o.number BETWEEN (p.value ->> 0)::int AND (p.value ->> 1)::int
            ORDER BY o.job_id, o.stage, o.number
            LIMIT size
        ) i;
    END IF;
    -- step: end
END $claim$;

-- purpose: a whole report of one lease, and the claim of its worker's next one, in one round trip and
--          one commit; then the check whether anything may be due for the job that was reported.
--          `hooked` and `has_hook` as in `joblot_report_1`. If nothing may be settled (`job` is null),
--          nothing is claimed. The columns from `outcome` on are those of `joblot_claim_1`; `outcome`
--          is `failed` if the claim raised an error, which takes no receipt away
-- guard: in `joblot_settle_1`, `joblot_claim_1` and `joblot_may_be_due_1`
-- note: not inside a transaction or a pipeline, where a procedure can't commit
-- locks: as `joblot_settle_1`, then `joblot_count_1`, then the ranges. It waits for no range, only
--        skips: so it holds up nobody who takes ranges before leases and slots, as all others do
CREATE OR REPLACE PROCEDURE joblot_report_and_claim_1(
    clock timestamptz,
    token uuid,
    numbers int[],
    hashes bytea,
    outputs jsonb,
    details jsonb,
    hooked text[],
    jobs bigint[],
    stages int[],
    afters bigint[],
    wanted int[],
    lease uuid,
    worker varchar,
    owner bigint,
    owner_items_max int,
    key varchar,
    asked bytea,
    INOUT job bigint,
    INOUT settled boolean,
    INOUT has_hook boolean,
    INOUT due boolean,
    INOUT outcome text,
    INOUT place int,
    INOUT range_id bigint,
    INOUT run int,
    INOUT expires_at timestamptz,
    INOUT status varchar,
    INOUT version bigint,
    INOUT config text,
    INOUT trace varchar,
    INOUT lease_seconds float8,
    INOUT stage_name varchar,
    INOUT pipeline varchar,
    INOUT spans text,
    INOUT items text,
    INOUT inputs text
) LANGUAGE plpgsql AS $report_and_claim$
DECLARE
    done record;
    claimed record;
    counted int;
BEGIN
    IF hooked IS NOT NULL THEN
        -- step: read the pipeline
        PERFORM 1
        FROM joblot_lease l
        JOIN joblot_stage s ON s.job_id = l.job_id AND s.position = l.stage
        WHERE l.token = joblot_report_and_claim_1.token AND s.pipeline = ANY (hooked);
        has_hook := FOUND;
        IF has_hook THEN
            RETURN;
        END IF;
    END IF;
    done := joblot_settle_1(clock, token, numbers, hashes, outputs, details);
    job := done.job;
    settled := done.succeeded IS NOT NULL;
    IF job IS NULL THEN
        RETURN;
    END IF;
    IF settled THEN
        counted := joblot_count_1(job, done.stage, done.succeeded, done.failed, done.metrics);
    END IF;
    BEGIN
        -- The report may have waited for its lease: the new one runs from now on.
        claimed := joblot_claim_1(
            COALESCE(clock, clock_timestamp()), jobs, stages, afters, wanted, '', lease, worker,
            owner, owner_items_max, key, asked
        );
        outcome := claimed.outcome;
        place := claimed.place;
        range_id := claimed.range_id;
        run := claimed.run;
        expires_at := claimed.expires_at;
        status := claimed.status;
        version := claimed.version;
        config := claimed.config;
        trace := claimed.trace;
        lease_seconds := claimed.lease_seconds;
        stage_name := claimed.stage_name;
        pipeline := claimed.pipeline;
        spans := claimed.spans;
        items := claimed.items;
        inputs := claimed.inputs;
    EXCEPTION WHEN OTHERS THEN
        outcome := 'failed';
    END;
    -- step: commit
    COMMIT;
    IF settled THEN
        BEGIN
            due := joblot_may_be_due_1(job, done.failed);
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            due := true;
        END;
    END IF;
END $report_and_claim$;

-- purpose: a whole report of one lease in one round trip: settle, count, COMMIT, then check whether
--          anything may be due for the job. `hooked`: pipelines with a hook, of whose leases nothing
--          is settled here; `has_hook` says that this is one. `job` is null if nothing may be settled
-- guard: in `joblot_settle_1` and `joblot_may_be_due_1`. Once the COMMIT is done no error is raised:
--        if the check fails, the job may be due, and the caller reads its sums
-- note: not inside a transaction or a pipeline, where a procedure can't commit
-- locks: as `joblot_settle_1`, then `joblot_count_1`; none after the COMMIT
CREATE OR REPLACE PROCEDURE joblot_report_1(
    clock timestamptz,
    token uuid,
    results jsonb,
    shared boolean,
    hooked text[],
    INOUT job bigint,
    INOUT moved int[],
    INOUT has_hook boolean,
    INOUT due boolean
) LANGUAGE plpgsql AS $report$
DECLARE
    settled record;
    counted int;
BEGIN
    IF hooked IS NOT NULL THEN
        -- step: read the pipeline
        PERFORM 1
        FROM joblot_lease l
        JOIN joblot_stage s ON s.job_id = l.job_id AND s.position = l.stage
        WHERE l.token = joblot_report_1.token AND s.pipeline = ANY (hooked);
        has_hook := FOUND;
        IF has_hook THEN
            RETURN;
        END IF;
    END IF;
    settled := joblot_settle_1(clock, token, results, shared, false);
    job := settled.job;
    moved := settled.moved;
    IF moved IS NULL THEN
        RETURN;
    END IF;
    counted := joblot_count_1(
        settled.job, settled.stage, settled.succeeded, settled.failed, settled.metrics
    );
    -- step: commit
    COMMIT;
    BEGIN
        due := joblot_may_be_due_1(job, settled.failed);
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        due := true;
    END;
END $report$;

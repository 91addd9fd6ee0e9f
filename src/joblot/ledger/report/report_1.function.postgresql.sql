-- purpose: a whole report of one lease in one round trip: settle, count, COMMIT, then check whether
--          anything may be due for the job. `hooked`: pipelines with a hook, of whose leases nothing
--          is settled here; `has_hook` says that this is one. `settled` says that all of the results are,
--          otherwise none is; `job` is null if none may be settled here
-- guard: in `joblot_settle_1` and `joblot_may_be_due_1`. Once the COMMIT is done no error is raised:
--        if the check fails, the job may be due, and the caller reads its sums
-- note: not inside a transaction or a pipeline, where a procedure can't commit
-- locks: as `joblot_settle_1`, then `joblot_count_1`; none after the COMMIT
CREATE OR REPLACE PROCEDURE joblot_report_1(
    clock timestamptz,
    token uuid,
    numbers int[],
    hashes bytea,
    outputs jsonb,
    details jsonb,
    hooked text[],
    INOUT job bigint,
    INOUT settled boolean,
    INOUT has_hook boolean,
    INOUT due boolean
) LANGUAGE plpgsql AS $report$
DECLARE
    done record;
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
    done := joblot_settle_1(clock, token, numbers, hashes, outputs, details);
    job := done.job;
    settled := done.succeeded IS NOT NULL;
    IF NOT settled THEN
        RETURN;
    END IF;
    counted := joblot_count_1(job, done.stage, done.succeeded, done.failed, done.metrics);
    -- step: commit
    COMMIT;
    BEGIN
        due := joblot_may_be_due_1(job, done.failed);
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        due := true;
    END;
END $report$;

-- purpose: a cancel in one round trip, except for the end of the run: change the status and record
--          it; delete the ranges; set the deadline; and, if that has passed or no lease is live, close
--          the leases through which an item may still be settled, `leases_max` at a time. A COMMIT
--          follows each step. Continues a cancel in progress, and may bring its deadline forward.
--          Returns `closed`, and the caller reconciles; `open`, if leases may report until the
--          deadline; or null, if nothing was done because the job is in another status
-- guard: each change names the status in which it is made, and each but the first the run. The ranges
--        are deleted after the status is committed, and the deadline is set when no claim can be
--        granted any more
-- note: not inside a transaction or a pipeline, where a procedure can't commit. If it fails between two
--       steps, calling it again continues. The COMMIT after the ranges, and the one after a deadline
--       without grace, do not wait for the disk, because a later COMMIT precedes the answer
-- locks: the job's row; the ranges, and so every claim that has locked one is waited for; the job's
--        row; the leases, skipping locked ones, which are then waited for one at a time. No lock is
--        held across a COMMIT
CREATE OR REPLACE PROCEDURE joblot_cancel_1(
    clock timestamptz,
    job bigint,
    grace_seconds float8,
    actor varchar,
    reason varchar,
    leases_max int,
    INOUT outcome text
) LANGUAGE plpgsql AS $cancel$
#variable_conflict use_column
DECLARE
    run_seen int;
    closes_at timestamptz;
    grace float8;
    closed int;
BEGIN
    -- step: change the status
    WITH changed AS (
        UPDATE joblot_job j
        SET status = 'CANCELING', cancel_closes_at = NULL, version = j.version + 1
        WHERE j.id = joblot_cancel_1.job AND j.status IN ({CANCELABLE}) AND j.deleted_at IS NULL
        RETURNING j.run, j.revision
    )
    INSERT INTO joblot_event (job_id, run, revision, kind, data, actor, reason, at, next_try_at)
    SELECT joblot_cancel_1.job, c.run, c.revision, 'canceling', '{{}}', joblot_cancel_1.actor,
           joblot_cancel_1.reason, {now}, {now}
    FROM changed c;
    -- step: commit
    COMMIT;

    -- step: read the job
    SELECT j.run, j.cancel_closes_at,
           COALESCE(grace_seconds, CASE WHEN j.cancel_closes_at IS NULL
                                        THEN (j.policy ->> 'cancel_grace_seconds')::float8 END)
    INTO run_seen, closes_at, grace
    FROM joblot_job j
    WHERE j.id = joblot_cancel_1.job AND j.status = 'CANCELING';
    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF closes_at IS NULL THEN
        -- step: delete the ranges
        DELETE FROM joblot_range r
        WHERE r.job_id = joblot_cancel_1.job AND EXISTS (
            SELECT 1 FROM joblot_job j
            WHERE j.id = joblot_cancel_1.job AND j.run = run_seen AND j.status = 'CANCELING'
        );
        SET LOCAL synchronous_commit = off;
        -- step: commit
        COMMIT;
    END IF;

    IF grace IS NOT NULL THEN
        -- step: set the deadline
        UPDATE joblot_job j
        SET cancel_closes_at = COALESCE(clock, clock_timestamp()) + make_interval(secs => grace),
            version = j.version + 1
        WHERE j.id = joblot_cancel_1.job AND j.run = run_seen AND j.status = 'CANCELING'
          AND (
              j.cancel_closes_at IS NULL
              OR j.cancel_closes_at
                  > COALESCE(clock, clock_timestamp()) + make_interval(secs => grace)
          );
        IF grace = 0 THEN
            SET LOCAL synchronous_commit = off;
        END IF;
        -- step: commit
        COMMIT;
    END IF;

    outcome := 'open';
    IF grace IS DISTINCT FROM 0 THEN
        -- step: check the deadline and the live leases
        PERFORM 1
        FROM joblot_job j
        WHERE j.id = joblot_cancel_1.job AND j.status = 'CANCELING'
          AND (
              j.cancel_closes_at <= COALESCE(clock, clock_timestamp())
              OR j.cancel_closes_at IS NOT NULL AND (
                  SELECT 1 FROM joblot_lease l
                  WHERE l.job_id = j.id AND l.state = {LIVE}
                  ORDER BY l.stage
                  LIMIT 1
              ) IS NULL
          );
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;

    LOOP
        -- step: close leases
        WITH held AS MATERIALIZED (
            SELECT l.token FROM joblot_lease l
            WHERE l.job_id = joblot_cancel_1.job AND l.run <= run_seen AND l.state IN ({CAN_SETTLE})
            ORDER BY l.state, l.stage
            LIMIT leases_max
            FOR UPDATE SKIP LOCKED
        ), spent AS MATERIALIZED (
            SELECT l.token FROM joblot_lease l
            WHERE l.job_id = joblot_cancel_1.job AND l.run <= run_seen AND l.state = {SPENT}
              AND NOT (l.gone = '[]')
            LIMIT leases_max
            FOR UPDATE SKIP LOCKED
        )
        UPDATE joblot_lease SET state = {CLOSED}
        WHERE token IN (SELECT token FROM held UNION ALL SELECT token FROM spent);
        GET DIAGNOSTICS closed = ROW_COUNT;
        -- step: commit
        COMMIT;
        EXIT WHEN closed < leases_max;
    END LOOP;
    LOOP
        -- step: close a lease that was locked
        UPDATE joblot_lease SET state = {CLOSED}
        WHERE token = (
            SELECT token FROM (
                (
                    SELECT l.token FROM joblot_lease l
                    WHERE l.job_id = joblot_cancel_1.job AND l.run <= run_seen
                      AND l.state IN ({CAN_SETTLE})
                    ORDER BY l.state, l.stage
                    LIMIT 1
                )
                UNION ALL
                (
                    SELECT l.token FROM joblot_lease l
                    WHERE l.job_id = joblot_cancel_1.job AND l.run <= run_seen AND l.state = {SPENT}
                      AND NOT (l.gone = '[]')
                    LIMIT 1
                )
            ) AS left_over
            LIMIT 1
        );
        GET DIAGNOSTICS closed = ROW_COUNT;
        -- step: commit
        COMMIT;
        EXIT WHEN closed = 0;
    END LOOP;
    outcome := 'closed';
END $cancel$;

-- purpose: how many more items a job may grant now, by its rate limit; and note that `spent` were
--          granted
-- guard: the row of the rate is locked, so that of two claims the later one sees what the earlier one
--        has granted
-- locks: the job's rate, after ranges and before the rate of a pipeline and the new lease
CREATE OR REPLACE FUNCTION joblot_rate_1(
    clock timestamptz,
    job bigint,
    items_max int,
    seconds float8,
    spent int
) RETURNS int LANGUAGE plpgsql VOLATILE AS $rate$
#variable_conflict use_variable
DECLARE
    held joblot_rate;
    judged record;
    kept jsonb;
    items_left int;
    due timestamptz;
BEGIN
    LOOP
        -- step: lock the rate
        SELECT r.* INTO held FROM joblot_rate r WHERE r.job_id = job FOR UPDATE;
        EXIT WHEN FOUND;
        -- step: make the rate
        INSERT INTO joblot_rate (job_id, seconds, granted) VALUES (job, seconds, '[]')
        ON CONFLICT (job_id) DO NOTHING;
    END LOOP;
    judged := joblot_window_1(
        COALESCE(clock, clock_timestamp()), held.seconds, held.granted, items_max, seconds, spent
    );
    kept := judged.kept;
    items_left := judged.items_left;
    due := judged.next_at;
    IF spent > 0 OR due IS NOT NULL THEN
        -- step: note what was granted
        UPDATE joblot_rate
        SET seconds = joblot_rate_1.seconds, granted = kept, next_at = due
        WHERE job_id = job;
    END IF;
    RETURN items_left;
END $rate$;

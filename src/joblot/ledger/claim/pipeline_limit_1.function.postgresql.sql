-- purpose: how many more items a pipeline may grant now, over all of its jobs, by its rate limit and its
--          cap, null if it has neither; and note that `spent` were granted
-- guard: the row of the limit is locked, so that of two claims the later one sees what the earlier one
--        has granted, and has in flight
-- locks: the pipeline's limit, after ranges and the job's rate, and before the new lease; nothing is waited
--        for after it
CREATE OR REPLACE FUNCTION joblot_pipeline_limit_1(
    clock timestamptz,
    named varchar,
    spent int
) RETURNS int LANGUAGE plpgsql VOLATILE AS $pipeline_limit$
DECLARE
    held joblot_pipeline_limit;
    judged record;
    kept jsonb;
    items_left int;
    due timestamptz;
    in_flight bigint;
BEGIN
    -- step: lock the pipeline's limit
    SELECT p.* INTO held FROM joblot_pipeline_limit p WHERE p.pipeline = named FOR UPDATE;
    IF held.rate_items_max IS NOT NULL THEN
        judged := joblot_window_1(
            COALESCE(clock, clock_timestamp()), held.seconds, held.granted, held.rate_items_max,
            held.rate_seconds, spent
        );
        kept := judged.kept;
        items_left := judged.items_left;
        due := judged.next_at;
        IF spent > 0 OR due IS NOT NULL THEN
            -- step: note what the pipeline has granted
            UPDATE joblot_pipeline_limit p
            SET seconds = held.rate_seconds, granted = kept, next_at = due
            WHERE p.pipeline = named;
        END IF;
    END IF;
    IF held.in_flight_items_max IS NOT NULL AND spent = 0 THEN
        -- step: count the pipeline's items in flight
        SELECT ({PIPELINE_IN_FLIGHT[named]}) INTO in_flight;
        items_left := LEAST(items_left, GREATEST(0, held.in_flight_items_max - in_flight));
    END IF;
    RETURN items_left;
END $pipeline_limit$;

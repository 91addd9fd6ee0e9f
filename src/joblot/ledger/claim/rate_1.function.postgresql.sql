-- purpose: how many more items a job may grant now, by its rate limit; and note that `spent` were
--          granted. Items count in slots of a sixtieth of `seconds`. The current slot and the sixty
--          before it cover every period of `seconds` that ends now, and hold at most `items_max`
-- guard: the row of the rate is locked, so that of two claims the later one sees what the earlier one
--        has granted. Slots never go back. What was granted in a period of another length counts as
--        granted now
-- locks: the job's rate, after ranges and before the new lease; nothing is waited for after it
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
    slot bigint;
    oldest bigint;
    kept jsonb := '[]';
    total int := 0;
    entry record;
    due timestamptz;
    left_over int;
BEGIN
    LOOP
        -- step: lock the rate
        SELECT r.* INTO held FROM joblot_rate r WHERE r.job_id = job FOR UPDATE;
        EXIT WHEN FOUND;
        -- step: make the rate
        INSERT INTO joblot_rate (job_id, seconds, granted) VALUES (job, seconds, '[]')
        ON CONFLICT (job_id) DO NOTHING;
    END LOOP;
    slot := floor(EXTRACT(EPOCH FROM COALESCE(clock, clock_timestamp())) * 60 / held.seconds);
    oldest := slot - 60;
    FOR entry IN
        SELECT (e.value ->> 0)::bigint AS slot, (e.value ->> 1)::int AS items
        FROM jsonb_array_elements(held.granted) e
        ORDER BY 1
    LOOP
        CONTINUE WHEN entry.slot < oldest;
        kept := kept || jsonb_build_array(jsonb_build_array(entry.slot, entry.items));
        total := total + entry.items;
        slot := GREATEST(slot, entry.slot);
    END LOOP;
    IF held.seconds <> seconds THEN
        slot := floor(EXTRACT(EPOCH FROM COALESCE(clock, clock_timestamp())) * 60 / seconds);
        kept := jsonb_build_array(jsonb_build_array(slot, total));
    END IF;
    IF spent > 0 THEN
        IF (kept -> -1 ->> 0)::bigint = slot THEN
            kept := jsonb_set(kept, '{{-1,1}}', to_jsonb((kept -> -1 ->> 1)::int + spent));
        ELSE
            kept := kept || jsonb_build_array(jsonb_build_array(slot, spent));
        END IF;
        total := total + spent;
    END IF;
    IF total >= items_max THEN
        left_over := total;
        FOR entry IN
            SELECT (e.value ->> 0)::bigint AS slot, (e.value ->> 1)::int AS items
            FROM jsonb_array_elements(kept) e
            ORDER BY 1
        LOOP
            left_over := left_over - entry.items;
            due := to_timestamp((entry.slot + 61) * seconds / 60);
            EXIT WHEN left_over < items_max;
        END LOOP;
    END IF;
    IF spent > 0 OR due IS NOT NULL THEN
        -- step: note what was granted
        UPDATE joblot_rate SET seconds = joblot_rate_1.seconds, granted = kept, next_at = due
        WHERE job_id = job;
    END IF;
    RETURN GREATEST(0, items_max - total);
END $rate$;

-- purpose: how many more items may be granted by a rate limit, what to note once `spent` were granted, and
--          if no more may be, when the next one may. Items count in slots of a sixtieth of `seconds`. The
--          current slot and the sixty before it cover every period of `seconds` that ends now, and hold at
--          most `items_max`
-- guard: slots never go back. What was granted in a period of another length, `held_seconds`, counts as
--        granted now; so does what was granted more than a period in the future: the clock was ahead
-- locks: none; reads no table
CREATE OR REPLACE FUNCTION joblot_window_1(
    moment timestamptz,
    held_seconds float8,
    granted jsonb,
    items_max int,
    seconds float8,
    spent int,
    OUT kept jsonb,
    OUT items_left int,
    OUT next_at timestamptz
) LANGUAGE plpgsql IMMUTABLE AS $window$
DECLARE
    current CONSTANT bigint := floor(EXTRACT(EPOCH FROM moment) * 60 / held_seconds);
    slot bigint := current;
    oldest bigint;
    total int := 0;
    added int := spent;
    entry record;
    left_over int;
BEGIN
    oldest := current - ceil(60 * GREATEST(1, seconds / held_seconds));
    kept := '[]';
    FOR entry IN
        SELECT (e.value ->> 0)::bigint AS slot, (e.value ->> 1)::int AS items
        FROM jsonb_array_elements(granted) e
        ORDER BY 1
    LOOP
        CONTINUE WHEN entry.slot < oldest;
        IF entry.slot > current + 60 AND held_seconds = seconds THEN
            added := added + entry.items;
            CONTINUE;
        END IF;
        kept := kept || jsonb_build_array(jsonb_build_array(entry.slot, entry.items));
        total := total + entry.items;
        slot := GREATEST(slot, entry.slot);
    END LOOP;
    IF held_seconds <> seconds THEN
        slot := floor(EXTRACT(EPOCH FROM moment) * 60 / seconds);
        kept := jsonb_build_array(jsonb_build_array(slot, total));
    END IF;
    IF added > 0 THEN
        IF (kept -> -1 ->> 0)::bigint = slot THEN
            kept := jsonb_set(kept, '{{-1,1}}', to_jsonb((kept -> -1 ->> 1)::int + added));
        ELSE
            kept := kept || jsonb_build_array(jsonb_build_array(slot, added));
        END IF;
        total := total + added;
    END IF;
    IF total >= items_max THEN
        left_over := total;
        FOR entry IN
            SELECT (e.value ->> 0)::bigint AS slot, (e.value ->> 1)::int AS items
            FROM jsonb_array_elements(kept) e
            ORDER BY 1
        LOOP
            left_over := left_over - entry.items;
            next_at := to_timestamp((entry.slot + 61) * seconds / 60);
            EXIT WHEN left_over < items_max;
        END LOOP;
    END IF;
    items_left := GREATEST(0, items_max - total);
END $window$;

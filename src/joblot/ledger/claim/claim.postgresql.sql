-- purpose: claim from the first free range, in one round trip; the function does the work and says how
-- guard: in the function
-- locks: in the function
SELECT outcome, place, range_id, run, expires_at, status, version, config, trace, lease_seconds,
       stage_name, pipeline, spans, items, inputs
FROM joblot_claim_1(
    %(clock)s::timestamptz, %(jobs)s::bigint[], %(stages)s::int[], %(afters)s::bigint[],
    %(wanted)s::int[], %(lock_wait)s, %(token)s::uuid, %(worker)s, %(owner)s::bigint,
    %(owner_items_max)s::int, %(key)s, %(asked)s::bytea
)

-- purpose: several claims in one round trip
-- guard: in the function
-- locks: in the function
SELECT outcome, place, range_id, run, expires_at, status, version, config, trace, lease_seconds,
       stage_name, pipeline, spans, items, inputs
FROM joblot_claim_together_1(
    %(clock)s::timestamptz, %(jobs)s::bigint[], %(stages)s::int[], %(afters)s::bigint[],
    %(wanted)s::int[], %(firsts)s::int[], %(ends)s::int[], %(tokens)s::uuid[],
    %(workers)s::varchar[], %(owners)s::bigint[], %(owners_items_max)s::int[],
    %(keys)s::varchar[], %(askeds)s::bytea[]
)
ORDER BY claim

-- purpose: a whole report of one lease and the next claim, in one round trip, outside of any transaction
-- guard: in the procedure
-- locks: in the procedure
CALL joblot_report_and_claim_1(
    %(clock)s::timestamptz, %(token)s::uuid, %(numbers)s::int[], %(hashes)s::bytea,
    %(outputs)s::jsonb, %(details)s::jsonb, %(hooked)s::text[],
    %(jobs)s::bigint[], %(stages)s::int[], %(afters)s::bigint[], %(wanted)s::int[], %(lease)s::uuid,
    %(worker)s, %(owner)s::bigint, %(owner_items_max)s::int, %(key)s, %(asked)s::bytea,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL
)

-- purpose: a whole report of one lease in one round trip, outside of any transaction
-- guard: in the procedure
-- locks: in the procedure
CALL joblot_report_1(
    %(clock)s::timestamptz, %(token)s::uuid, %(numbers)s::int[], %(hashes)s::bytea,
    %(outputs)s::jsonb, %(details)s::jsonb, %(hooked)s::text[],
    NULL, NULL, NULL, NULL
)

-- purpose: add what was settled in the caller's transaction to this connection's slots
-- guard: none; the caller has settled the items
-- locks: in the function
SELECT joblot_count_1(
    %(job)s::bigint, %(stage)s::smallint, %(succeeded)s::int, %(failed)s::int, %(metrics)s::jsonb
)

-- purpose: a cancel in one round trip, except for the end of the run; outside of any transaction
-- guard: in the procedure
-- locks: in the procedure
CALL joblot_cancel_1(
    %(clock)s::timestamptz, %(job)s::bigint, %(grace_seconds)s::float8, %(actor)s, %(reason)s,
    %(leases_max)s::int, NULL
)

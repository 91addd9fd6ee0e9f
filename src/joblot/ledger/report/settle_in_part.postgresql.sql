-- purpose: settle simple results of one lease in the caller's transaction, which counts them last; and
--          read what the hook of its pipeline is called with
-- guard: in the functions
-- locks: in the functions
SELECT s.job, s.run, s.stage, s.succeeded, s.failed, s.metrics::text, h.*
FROM joblot_settle_1(
    %(clock)s::timestamptz, %(token)s::uuid, %(numbers)s::int[], %(hashes)s::bytea,
    %(outputs)s::jsonb, %(details)s::jsonb
) s
LEFT JOIN LATERAL joblot_hook_input_1(s.job, s.run, s.stage, s.passed) h ON s.succeeded > 0

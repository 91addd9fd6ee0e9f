-- purpose: settle simple results of one lease in the caller's transaction, which counts them last
-- guard: in the function
-- locks: in the function
SELECT job, run, stage, moved, succeeded, failed, metrics::text, stage_name, pipeline, config,
       numbers, keys, payloads
FROM joblot_settle_1(
    %(clock)s::timestamptz, %(token)s::uuid, %(results)s::jsonb, false, true
)

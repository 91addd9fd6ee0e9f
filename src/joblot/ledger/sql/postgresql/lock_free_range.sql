-- purpose: find a range to claim from, in the first of these stages that has a free one, each walked
--          from behind where it was left
-- guard: nobody else holds it, its time has come
-- locks: the range, skipping those that are locked; stages are walked one by one until one is found
SELECT asked.place, r.id, r.next, r.last, r.failures, r.expiries, r.returns
FROM unnest(%(jobs)s::bigint[], %(stages)s::int[], %(afters)s::bigint[])
     WITH ORDINALITY AS asked (job, stage, after, place)
CROSS JOIN LATERAL (
    SELECT id, next, last, failures, expiries, returns
    FROM joblot_range
    WHERE job_id = asked.job AND stage = asked.stage AND id > asked.after AND not_before <= {now}
    ORDER BY id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) r
LIMIT 1

-- purpose: find a range to claim from, in the first of these stages that has a free one, each
--          searched from behind its cursor
-- guard: the range is not locked, and is due
-- locks: the range, skipping locked ones; stages are searched one by one until one is found
SELECT asked.place, r.id, r.next, r.last, r.failures, r.expiries, r.returns
FROM unnest(%(jobs)s::bigint[], %(stages)s::int[], %(afters)s::bigint[])
     WITH ORDINALITY AS asked (job, stage, after, place)
CROSS JOIN LATERAL (
    SELECT id, next, last, failures, expiries, returns
    FROM joblot_range
    WHERE (job_id, stage, id) > (asked.job, asked.stage, asked.after)
      AND (job_id, stage) <= (asked.job, asked.stage) AND not_before <= {now}
    ORDER BY job_id, stage, id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) r
LIMIT 1

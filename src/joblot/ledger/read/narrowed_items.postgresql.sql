-- purpose: those of some items that also have a key prefix, a worker, a receipt or a number of tries
-- guard: none; a read
-- locks: none; LIMIT 1 and OFFSET 0 make each access a look-up, whatever the table's statistics
SELECT asked.number
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT key FROM joblot_item WHERE job_id = %(job)s AND number = asked.number LIMIT 1
) i
CROSS JOIN LATERAL (
    SELECT COUNT(*) AS tries, COALESCE(bool_or(a.worker = %(worker)s::text), FALSE) AS by_worker,
           COALESCE(bool_or(a.cause = 'failed' AND a.leased_at IS NOT NULL), FALSE) AS requeued
    FROM (
        SELECT * FROM joblot_attempt WHERE job_id = %(job)s AND number = asked.number OFFSET 0
    ) a
    WHERE a.stage = COALESCE(%(stage)s::int, a.stage)
) a
CROSS JOIN LATERAL (
    SELECT COUNT(*) AS tries, COALESCE(bool_or(l.worker = %(worker)s::text), FALSE) AS by_worker
    FROM generate_series(0, %(stages)s::int - 1) AS came (stage)
    CROSS JOIN LATERAL (
        SELECT lease_token FROM joblot_outcome
        WHERE job_id = %(job)s AND stage = came.stage AND number = asked.number
        LIMIT 1
    ) o
    LEFT JOIN LATERAL (
        SELECT worker FROM joblot_lease WHERE token = o.lease_token LIMIT 1
    ) l ON TRUE
    WHERE came.stage = COALESCE(%(stage)s::int, came.stage)
) o
WHERE TRUE
  AND starts_with(i.key, %(prefix)s) -- if prefix
  AND (a.by_worker OR o.by_worker OR asked.number = ANY(%(held)s::int[])) -- if worker
  AND a.tries + o.tries >= %(tries_min)s -- if tries_min
  AND a.tries + o.tries <= %(tries_max)s -- if tries_max
  AND o.tries > 0 -- if counted
  AND a.requeued -- if requeued
  AND EXISTS ( -- if kept
      SELECT 1 FROM joblot_uncounted u -- if kept
      WHERE u.job_id = %(job)s AND u.number = asked.number AND u.receipt = %(kept)s -- if kept
        AND u.stage = COALESCE(%(stage)s::int, u.stage) -- if kept
  ) -- if kept
ORDER BY asked.number
LIMIT %(limit)s

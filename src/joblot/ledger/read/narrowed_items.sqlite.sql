-- purpose: those of some items that also have a key prefix, a worker, a receipt or a number of tries
-- guard: none; a read
-- locks: none; CROSS JOIN makes each access a look-up, so that no plan reads the whole job
WITH tried AS (
    SELECT asked.value AS number,
           (SELECT COUNT(*) FROM joblot_attempt a
            WHERE a.job_id = %(job)s AND a.number = asked.value
              AND a.stage = COALESCE(%(stage)s, a.stage)) AS attempts,
           (SELECT COUNT(*) FROM joblot_stage s
            CROSS JOIN joblot_outcome o
              ON o.job_id = %(job)s AND o.stage = s.position AND o.number = asked.value
            WHERE s.job_id = %(job)s AND s.position = COALESCE(%(stage)s, s.position)) AS outcomes
    FROM json_each(%(numbers)s) AS asked
)
SELECT t.number FROM tried t
WHERE TRUE
  AND EXISTS ( -- if prefix
      SELECT 1 FROM joblot_item i -- if prefix
      WHERE i.job_id = %(job)s AND i.number = t.number -- if prefix
        AND substr(i.key, 1, length(%(prefix)s)) = %(prefix)s -- if prefix
  ) -- if prefix
  AND (t.number IN (SELECT value FROM json_each(%(held)s)) -- if worker
       OR EXISTS ( -- if worker
           SELECT 1 FROM joblot_attempt a -- if worker
           WHERE a.job_id = %(job)s AND a.number = t.number AND a.worker = %(worker)s -- if worker
             AND a.stage = COALESCE(%(stage)s, a.stage) -- if worker
       ) OR EXISTS ( -- if worker
           SELECT 1 FROM joblot_stage s -- if worker
           CROSS JOIN joblot_outcome o -- if worker
             ON o.job_id = %(job)s AND o.stage = s.position AND o.number = t.number -- if worker
           CROSS JOIN joblot_lease l ON l.token = o.lease_token AND l.worker = %(worker)s -- if worker
           WHERE s.job_id = %(job)s AND s.position = COALESCE(%(stage)s, s.position) -- if worker
       )) -- if worker
  AND t.attempts + t.outcomes >= %(tries_min)s -- if tries_min
  AND t.attempts + t.outcomes <= %(tries_max)s -- if tries_max
  AND t.outcomes > 0 -- if counted
  AND EXISTS ( -- if requeued
      SELECT 1 FROM joblot_attempt a -- if requeued
      WHERE a.job_id = %(job)s AND a.number = t.number AND a.cause = 'failed' -- if requeued
        AND a.leased_at IS NOT NULL AND a.stage = COALESCE(%(stage)s, a.stage) -- if requeued
  ) -- if requeued
  AND EXISTS ( -- if kept
      SELECT 1 FROM joblot_uncounted u -- if kept
      WHERE u.job_id = %(job)s AND u.number = t.number AND u.receipt = %(kept)s -- if kept
        AND u.stage = COALESCE(%(stage)s, u.stage) -- if kept
  ) -- if kept
ORDER BY t.number
LIMIT %(limit)s

-- purpose: more ranges for a claim whose first one was too small
-- guard: nobody else holds them, their time has come, none must be leased alone, each fits
-- locks: the ranges by id, skipping those that are locked
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND id > %(after)s AND not_before <= {now}
  AND returns < 2 AND last - next < %(items)s
ORDER BY id
LIMIT %(ranges)s
FOR UPDATE SKIP LOCKED

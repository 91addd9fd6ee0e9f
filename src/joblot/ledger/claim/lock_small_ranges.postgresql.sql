-- purpose: find more ranges for a claim whose first one was too small
-- guard: the ranges are not locked, are due, need not be leased alone, and each fits
-- locks: the ranges by id, skipping locked ones
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE (job_id, stage, id) > (%(job)s::bigint, %(stage)s::int, %(after)s::bigint)
  AND (job_id, stage) <= (%(job)s::bigint, %(stage)s::int) AND not_before <= {now}
  AND returns < 2 AND last - next < %(items)s
ORDER BY job_id, stage, id
LIMIT %(ranges)s
FOR UPDATE SKIP LOCKED

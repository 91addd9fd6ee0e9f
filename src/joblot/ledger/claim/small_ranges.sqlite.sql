-- purpose: find more ranges for a claim whose first one was too small
-- guard: the ranges are due, need not be leased alone, and each fits
-- locks: none of its own; the transaction holds the database's write lock
SELECT id, next, last, failures, expiries, returns
FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND id > %(after)s AND not_before <= {now}
  AND returns < 2 AND last - next < %(items)s
ORDER BY id
LIMIT %(ranges)s

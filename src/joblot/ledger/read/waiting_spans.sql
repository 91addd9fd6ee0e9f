-- purpose: the first ranges of a stage, by number, that wait for the next try of their items
-- guard: none; a read
-- locks: none
SELECT next, last FROM joblot_range
WHERE job_id = %(job)s AND stage = %(stage)s AND last > %(after)s AND next <= %(upto)s
  AND not_before > {now}
ORDER BY next
LIMIT %(limit)s

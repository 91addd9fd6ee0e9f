-- purpose: the items that failed or were lost, by cause, the most frequent causes first; in every
--          row, how many these are in all
-- guard: none; a read
-- locks: none; the plus sign before `stage` prevents a scan of the primary key. It reads the index
--        of the causes only
SELECT error_cause, count(*), min(settled_at), max(settled_at), sum(count(*)) OVER ()
FROM joblot_outcome
WHERE job_id = %(job)s AND state IN ({FAILED}, {LOST})
  AND +stage = %(stage)s -- if stage
GROUP BY job_id, error_cause
ORDER BY 2 DESC, 1
LIMIT %(limit)s

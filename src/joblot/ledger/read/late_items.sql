-- purpose: the items of a canceled run that were still open when a success came too late for them
-- guard: none; a read
-- locks: none; the literal lets PostgreSQL use the partial index on late results
SELECT u.stage, u.number FROM joblot_uncounted u
WHERE u.job_id = %(job)s AND u.run = %(run)s AND u.receipt = 'late'
  AND NOT EXISTS (
      SELECT 1 FROM joblot_outcome o
      WHERE o.job_id = u.job_id AND o.stage = u.stage AND o.number = u.number
  )
ORDER BY u.stage, u.number

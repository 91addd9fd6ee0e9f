-- purpose: jobs that may have to be reconciled: all is settled but not finished, or results were
--          counted since their end
-- guard: the job is not being removed, and was not put off; the reconciliation decides
-- locks: none
SELECT j.id
FROM joblot_job j
WHERE j.sealed AND j.status IN ({FINALIZABLE})
  AND j.total * (SELECT count(*) FROM joblot_stage s WHERE s.job_id = j.id) = COALESCE((
      SELECT sum(t.succeeded + t.failed + t.lost + t.skipped)
      FROM joblot_tally t WHERE t.job_id = j.id
  ), 0)
  AND NOT EXISTS (SELECT 1 FROM joblot_sweep_failure f WHERE f.job_id = j.id AND f.step = 'finish')
UNION
SELECT t.job_id
FROM joblot_tally t
JOIN joblot_job j ON j.id = t.job_id
WHERE t.slot > 0 AND j.status IN ({TERMINAL}) AND j.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM joblot_sweep_failure f WHERE f.job_id = j.id AND f.step = 'finish')
LIMIT %(jobs)s

-- purpose: jobs that may have to be reconciled: all is settled but not finished, more has failed than
--          they allow but they are not halted, or results were counted since their end
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
SELECT h.id
FROM (
    SELECT j.id, CAST(j.policy ->> 'halt_failed_items' AS double precision) AS failed_items,
           CAST(j.policy ->> 'halt_failed_share' AS double precision) AS failed_share,
           CAST(j.policy ->> 'halt_tried_items_min' AS double precision) AS tried_items_min,
           sum(t.failed + t.lost) AS given_up,
           sum(t.succeeded + t.failed + t.lost) AS tried,
           sum(sum(t.failed + t.lost)) OVER (PARTITION BY j.id) AS all_given_up
    FROM joblot_job j
    JOIN joblot_tally t ON t.job_id = j.id
    WHERE j.status IN ({CLAIMABLE})
      AND COALESCE(j.policy ->> 'halt_failed_items', j.policy ->> 'halt_failed_share') IS NOT NULL
      AND NOT EXISTS (
          SELECT 1 FROM joblot_sweep_failure f WHERE f.job_id = j.id AND f.step = 'finish'
      )
    GROUP BY j.id, j.policy, t.stage
) h
WHERE h.all_given_up > h.failed_items
   OR (h.tried >= h.tried_items_min AND h.given_up > h.failed_share * h.tried)
UNION
SELECT t.job_id
FROM joblot_tally t
JOIN joblot_job j ON j.id = t.job_id
WHERE t.slot > 0 AND j.status IN ({TERMINAL}) AND j.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM joblot_sweep_failure f WHERE f.job_id = j.id AND f.step = 'finish')
LIMIT %(jobs)s

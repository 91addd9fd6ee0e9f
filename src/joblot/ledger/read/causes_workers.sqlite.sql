-- purpose: who reported the first items of each of these causes, by their leases
-- guard: none; a read
-- locks: none; CROSS JOIN and the bound on the number make each a look-up
SELECT asked.value, COALESCE(l.worker, ''), count(*)
FROM json_each(%(causes)s) AS asked
CROSS JOIN joblot_outcome o INDEXED BY joblot_outcome_cause
  ON o.job_id = %(job)s AND o.error_cause = asked.value AND o.state IN ({FAILED}, {LOST})
  AND +o.stage = %(stage)s -- if stage
  AND o.number <= COALESCE((
      SELECT number FROM joblot_outcome INDEXED BY joblot_outcome_cause
      WHERE job_id = %(job)s AND error_cause = asked.value AND state IN ({FAILED}, {LOST})
        AND +stage = %(stage)s -- if stage
      ORDER BY number LIMIT 1 OFFSET %(items)s - 1
  ), %(number_max)s)
LEFT JOIN joblot_lease l ON l.token = o.lease_token
GROUP BY 1, 2
ORDER BY 1, 3 DESC, 2

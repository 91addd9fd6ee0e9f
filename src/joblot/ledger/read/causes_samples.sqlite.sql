-- purpose: the first items of each of these causes; of the very first, its traceback
-- guard: none; a read
-- locks: none; CROSS JOIN and the bound on the number make each a look-up
SELECT asked.value, o.number, i.key, o.stage, o.error_type, o.error_message,
       CASE WHEN row_number() OVER (PARTITION BY asked.value ORDER BY o.number) = 1
            THEN o.error_traceback END
FROM json_each(%(causes)s) AS asked
CROSS JOIN joblot_outcome o INDEXED BY joblot_outcome_cause
  ON o.job_id = %(job)s AND o.error_cause = asked.value AND o.state IN ({FAILED}, {LOST})
  AND +o.stage = %(stage)s -- if stage
  AND o.number <= COALESCE((
      SELECT number FROM joblot_outcome INDEXED BY joblot_outcome_cause
      WHERE job_id = %(job)s AND error_cause = asked.value AND state IN ({FAILED}, {LOST})
        AND +stage = %(stage)s -- if stage
      ORDER BY number LIMIT 1 OFFSET %(samples)s - 1
  ), %(number_max)s)
CROSS JOIN joblot_item i ON i.job_id = %(job)s AND i.number = o.number
ORDER BY asked.value, o.number

-- purpose: the first items behind a number that failed or were lost for a cause, each with its stage
--          and state
-- guard: none; a read
-- locks: none; comparing (error_cause, number) as a row prevents a scan of the index on all items
--        that failed, whatever the statistics
SELECT number, stage, state FROM joblot_outcome
WHERE job_id = %(job)s AND (error_cause, number) > (%(cause)s, %(after)s)
  AND (error_cause, number) <= (%(cause)s, %(number_max)s)
  AND state IN ({FAILED}, {LOST})
ORDER BY job_id, error_cause, number
LIMIT %(limit)s

-- purpose: the first items of each of these causes; of the very first, its traceback
-- guard: none; a read
-- locks: none; LIMIT and the row comparison make each a look-up, whatever the statistics
SELECT asked.cause, o.number, i.key, o.stage, o.error_type, o.error_message,
       CASE WHEN row_number() OVER (PARTITION BY asked.cause ORDER BY o.number) = 1
            THEN o.error_traceback END
FROM unnest(%(causes)s::text[]) AS asked (cause)
CROSS JOIN LATERAL (
    SELECT * FROM joblot_outcome
    WHERE job_id = %(job)s AND (error_cause, number) >= (asked.cause, 0)
      AND (error_cause, number) <= (asked.cause, %(number_max)s)
      AND state IN ({FAILED}, {LOST})
      AND +stage = %(stage)s -- if stage
    ORDER BY job_id, error_cause, number
    LIMIT %(samples)s
) o
CROSS JOIN LATERAL (
    SELECT key FROM joblot_item WHERE job_id = %(job)s AND number = o.number LIMIT 1
) i
ORDER BY asked.cause, o.number

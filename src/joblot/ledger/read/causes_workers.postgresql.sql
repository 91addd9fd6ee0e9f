-- purpose: who reported the first items of each of these causes, by their leases
-- guard: none; a read
-- locks: none; LIMIT and the row comparison make each a look-up, whatever the statistics
SELECT asked.cause, COALESCE(l.worker, ''), count(*)
FROM unnest(%(causes)s::text[]) AS asked (cause)
CROSS JOIN LATERAL (
    SELECT lease_token FROM joblot_outcome
    WHERE job_id = %(job)s AND (error_cause, number) >= (asked.cause, 0)
      AND (error_cause, number) <= (asked.cause, %(number_max)s)
      AND state IN ({FAILED}, {LOST})
      AND +stage = %(stage)s -- if stage
    ORDER BY job_id, error_cause, number
    LIMIT %(items)s
) o
LEFT JOIN LATERAL (
    SELECT worker FROM joblot_lease WHERE token = o.lease_token LIMIT 1
) l ON TRUE
GROUP BY 1, 2
ORDER BY 1, 3 DESC, 2

-- purpose: the attempts of some items, by their numbers, oldest first
-- guard: none
-- locks: none; OFFSET 0 makes each a look-up by its index, whatever the table's statistics
SELECT a.number, a.stage, a.run, a.cause, a.error_type, a.error_message, a.error_cause,
       a.error_traceback, a.worker, a.leased_at, a.at
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT * FROM joblot_attempt WHERE job_id = %(job)s AND number = asked.number OFFSET 0
) a
ORDER BY a.id

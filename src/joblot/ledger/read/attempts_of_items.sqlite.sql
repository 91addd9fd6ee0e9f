-- purpose: the attempts of some items, by their numbers, oldest first
-- guard: none
-- locks: none; CROSS JOIN makes each a look-up, so that no plan reads the whole job
SELECT a.number, a.stage, a.run, a.cause, a.error_type, a.error_message, a.error_cause,
       a.error_traceback, a.worker, a.leased_at, a.at
FROM json_each(%(numbers)s) AS asked
CROSS JOIN joblot_attempt a ON a.job_id = %(job)s AND a.number = asked.value
ORDER BY a.id

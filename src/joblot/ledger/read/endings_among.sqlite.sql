-- purpose: how some items ended in a stage, by their numbers: with their keys, the leases through
--          which they were settled, and how often they were tried
-- guard: none
-- locks: none; CROSS JOIN makes each a look-up, so that no plan reads the whole job
SELECT o.number, i.key, o.state, o.error_type, o.error_message, o.settled_at, l.worker, l.claimed_at,
       (SELECT COUNT(*) FROM joblot_attempt a
        WHERE a.job_id = %(job)s AND a.number = o.number AND a.stage = o.stage)
FROM json_each(%(numbers)s) AS asked
CROSS JOIN joblot_outcome o
  ON o.job_id = %(job)s AND o.stage = %(stage)s AND o.number = asked.value
CROSS JOIN joblot_item i ON i.job_id = %(job)s AND i.number = o.number
LEFT JOIN joblot_lease l ON l.token = o.lease_token
ORDER BY o.number

-- purpose: how some items ended in a stage, by their numbers: with their keys, the leases through
--          which they were settled, and how often they were tried
-- guard: none
-- locks: none; LIMIT makes each a look-up in a primary key, whatever the tables' statistics
SELECT o.number, i.key, o.state, o.error_type, o.error_message, o.settled_at, l.worker, l.claimed_at,
       tries.total
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT * FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = %(stage)s AND number = asked.number
    LIMIT 1
) o
CROSS JOIN LATERAL (
    SELECT key FROM joblot_item WHERE job_id = %(job)s AND number = asked.number LIMIT 1
) i
LEFT JOIN LATERAL (
    SELECT worker, claimed_at FROM joblot_lease WHERE token = o.lease_token LIMIT 1
) l ON true
CROSS JOIN LATERAL (
    SELECT COUNT(*) AS total FROM joblot_attempt
    WHERE job_id = %(job)s AND number = asked.number AND stage = %(stage)s
) tries
ORDER BY o.number

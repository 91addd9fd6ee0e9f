-- purpose: the outcomes of a stage's items, by their numbers
-- guard: none
-- locks: none; LIMIT makes each a look-up in the primary key, whatever the table's statistics
SELECT asked.number, o.state, o.hash, o.lease_token
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT state, hash, lease_token FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = %(stage)s AND number = asked.number
    LIMIT 1
) o

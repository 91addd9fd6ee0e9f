-- purpose: which of these items have an outcome in a stage
-- guard: none
-- locks: none; LIMIT makes each a look-up in the primary key, whatever the table's statistics
SELECT asked.number
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT 1 FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = %(stage)s AND number = asked.number
    LIMIT 1
) settled

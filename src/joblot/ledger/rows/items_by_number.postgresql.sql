-- purpose: items of a job, by their numbers
-- guard: none
-- locks: none; LIMIT makes each a look-up in the primary key, so that no plan, even one made before
--        the table was filled or analyzed, reads the whole job
SELECT i.number, i.key, i.payload
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT number, key, payload FROM joblot_item
    WHERE job_id = %(job)s AND number = asked.number
    LIMIT 1
) i
ORDER BY i.number

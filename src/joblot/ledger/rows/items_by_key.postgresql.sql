-- purpose: items of a job, by their keys
-- guard: none
-- locks: none; LIMIT makes each a look-up in the unique index, so that no plan, even one made
--        before the table was filled or analyzed, reads the whole job
SELECT i.number, i.key, i.payload
FROM unnest(%(keys)s::text[]) AS asked (key)
CROSS JOIN LATERAL (
    SELECT number, key, payload FROM joblot_item
    WHERE job_id = %(job)s AND key = asked.key
    LIMIT 1
) i
ORDER BY i.number

-- purpose: the outputs of a stage's items, by their numbers
-- guard: none
-- locks: none; LIMIT makes each a look-up in the primary key, whatever the table's statistics
SELECT asked.number, o.output, o.output_ref
FROM unnest(%(numbers)s::int[]) AS asked (number)
CROSS JOIN LATERAL (
    SELECT output, output_ref FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = %(stage)s AND number = asked.number
    LIMIT 1
) o

-- purpose: find a range to claim from, in the first of these stages that has a free one, each
--          searched from behind its cursor
-- guard: the range is due
-- locks: none of its own; the transaction holds the database's write lock
SELECT asked.key + 1, r.id, r.next, r.last, r.failures, r.expiries, r.returns
FROM json_each(%(jobs)s) AS asked
JOIN joblot_range r ON r.id = (
    SELECT id FROM joblot_range
    WHERE job_id = asked.value
      AND stage = json_extract(%(stages)s, '$[' || asked.key || ']')
      AND id > json_extract(%(afters)s, '$[' || asked.key || ']')
      AND not_before <= {now}
    ORDER BY id
    LIMIT 1
)
ORDER BY asked.key
LIMIT 1

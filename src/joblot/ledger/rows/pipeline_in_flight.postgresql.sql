-- purpose: how many items the live leases of a pipeline hold, over all of its jobs
-- guard: none; a claim asks with the limit locked
-- locks: none
SELECT COALESCE(sum(h.open), 0)
FROM joblot_stage s
CROSS JOIN LATERAL (
    SELECT sum(l.open) AS open FROM joblot_lease l
    WHERE l.job_id = s.job_id AND l.state = {LIVE} AND l.stage = s.position
) h
WHERE s.pipeline = %(pipeline)s

-- purpose: how many items the live leases of a pipeline hold, over all of its jobs
-- guard: none; a claim asks with the limit locked
-- locks: none
SELECT COALESCE(sum(l.open), 0)
FROM joblot_stage s
JOIN joblot_lease l ON l.job_id = s.job_id AND l.state = {LIVE} AND l.stage = s.position
WHERE s.pipeline = %(pipeline)s

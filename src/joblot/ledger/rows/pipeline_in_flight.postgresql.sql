-- purpose: how many items the live leases of a pipeline hold, over all of its jobs; by way of
--          the live leases, which are few: a pipeline may have had any number of jobs
-- guard: none; a claim asks with the limit locked. Statements that check limits contain this one
-- locks: none
SELECT COALESCE(sum(l.open), 0)
FROM joblot_lease l
CROSS JOIN LATERAL (
    SELECT 1 FROM joblot_stage s
    WHERE s.job_id = l.job_id AND s.position = l.stage AND s.pipeline = %(pipeline)s
    LIMIT 1
) mine
WHERE l.state = {LIVE} AND l.expires_at IS NOT NULL

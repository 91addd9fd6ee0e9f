-- purpose: for each of some jobs, the first sample of its run that is not older than a tick
-- guard: none
-- locks: none; every access by job is a look-up by the primary key
SELECT s.job_id, s.at, s.stages
FROM joblot_job j
JOIN joblot_sample s ON s.job_id = j.id AND s.tick = (
    SELECT MIN(tick) FROM joblot_sample f
    WHERE f.job_id = j.id AND f.run = j.run AND f.tick >= %(tick)s
)
WHERE j.id = ANY(%(jobs)s::bigint[])

-- purpose: the pipeline whose items a lease holds, by which hooks are found
-- guard: none; it is the same as long as the lease exists
-- locks: none
SELECT s.pipeline
FROM joblot_lease l
JOIN joblot_stage s ON s.job_id = l.job_id AND s.position = l.stage
WHERE l.token = %(token)s

-- purpose: a stage, and how many its job has
-- guard: none; each report that is judged runs this, so it is not left to the ORM
-- locks: none
SELECT s.name, s.pipeline, (SELECT count(*) FROM joblot_stage o WHERE o.job_id = %(job)s)
FROM joblot_stage s
WHERE s.job_id = %(job)s AND s.position = %(stage)s

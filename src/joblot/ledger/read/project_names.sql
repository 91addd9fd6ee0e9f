-- purpose: the names of the projects that have jobs, in order
-- guard: none; a project of which only deleted jobs are left still has them
-- locks: none; one look-up in the index of (project, idempotency_key) for each name
WITH RECURSIVE found (name) AS (
    SELECT MIN(project) FROM joblot_job
    UNION ALL
    SELECT (SELECT MIN(project) FROM joblot_job WHERE project > found.name)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT %(limit)s

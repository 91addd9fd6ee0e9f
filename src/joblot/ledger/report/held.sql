-- purpose: the stage of a lease, how many stages its job has, and when its worker was revoked or null
-- guard: none; the caller has locked the lease, and refuses a revoked worker
-- locks: none; each report that is judged runs this, so it is not left to the ORM
SELECT s.name, s.pipeline, (SELECT count(*) FROM joblot_stage o WHERE o.job_id = %(job)s),
       (SELECT w.revoked_at FROM joblot_worker w
        WHERE w.owner = %(owner)s AND w.instance = %(instance)s AND w.revoked_at IS NOT NULL)
FROM joblot_stage s
WHERE s.job_id = %(job)s AND s.position = %(stage)s

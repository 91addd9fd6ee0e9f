-- purpose: move the deadline of a lease, and note its progress, if given; returns the new deadline, or
--          no row if it is not renewed. Without `seconds`, the job's policy says for how long
-- guard: the lease has not ended, nor has its run, its job is not deleted, and its worker is not
--        revoked
-- locks: none of its own; the statement holds the database's write lock
UPDATE joblot_lease AS l
SET expires_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', {now}, printf('%%.3f seconds', COALESCE(
    %(seconds)s, json_extract(j.policy, '$.lease_seconds')
))),
    progress = COALESCE(%(progress)s, l.progress)
FROM joblot_job j
WHERE l.token = %(token)s AND l.state IN ({HOLDING})
  AND j.id = l.job_id AND j.run = l.run AND j.status <> 'REVOKED' AND j.deleted_at IS NULL
  AND NOT EXISTS (
      SELECT 1 FROM joblot_worker w
      WHERE w.owner = COALESCE(l.owner, 0) AND w.instance = l.worker AND w.revoked_at IS NOT NULL
  )
RETURNING expires_at

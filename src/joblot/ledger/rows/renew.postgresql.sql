-- purpose: move the deadline of a lease, and note its progress, if given; returns the new deadline, or
--          no row if it is not renewed. Without `seconds`, the job's policy says for how long
-- guard: the lease has not ended, nor has its run, its job is not deleted, and its worker is not
--        revoked
-- locks: the lease; a report through it is waited for
UPDATE joblot_lease l
SET expires_at = {now} + make_interval(secs => COALESCE(
    %(seconds)s::float8, (j.policy ->> 'lease_seconds')::float8
)),
    progress = COALESCE(%(progress)s::jsonb, l.progress)
FROM joblot_job j
WHERE l.token = %(token)s::uuid AND l.state IN ({HOLDING})
  AND j.id = l.job_id AND j.run = l.run AND j.status <> 'REVOKED' AND j.deleted_at IS NULL
  AND (
      SELECT w.revoked_at FROM joblot_worker w
      WHERE w.owner = COALESCE(l.owner, 0) AND w.instance = l.worker
            AND w.revoked_at IS NOT NULL LIMIT 1
  ) IS NULL
RETURNING l.expires_at

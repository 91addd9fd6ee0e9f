-- purpose: move the deadlines of several leases to `seconds` from now; returns a row for each one
-- guard: the lease is live, its deadline is earlier than that, and its worker is not revoked
-- locks: none of its own; the statement holds the database's write lock
UPDATE joblot_lease AS l
SET expires_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', {now}, printf('%%.3f seconds', %(seconds)s))
WHERE l.token IN (SELECT value FROM json_each(%(tokens)s)) AND l.state = {LIVE}
  AND l.expires_at < strftime(
      '%%Y-%%m-%%d %%H:%%M:%%f', {now}, printf('%%.3f seconds', %(seconds)s)
  )
  AND NOT EXISTS (
      SELECT 1 FROM joblot_worker w
      WHERE w.owner = COALESCE(l.owner, 0) AND w.instance = l.worker AND w.revoked_at IS NOT NULL
  )
RETURNING 1

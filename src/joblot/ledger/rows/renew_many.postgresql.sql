-- purpose: move the deadlines of several leases to `seconds` from now; returns a row for each one
-- guard: the lease is live, its deadline is earlier than that, and its worker is not revoked
-- locks: the leases; one that another transaction holds is skipped, because waiting for it would
--        block while others are held
WITH due AS MATERIALIZED (
    SELECT l.token FROM joblot_lease l
    WHERE l.token = ANY (%(tokens)s::uuid[]) AND l.state = {LIVE}
      AND l.expires_at < {now} + make_interval(secs => %(seconds)s::float8)
      AND (
          SELECT w.revoked_at FROM joblot_worker w
          WHERE w.owner = COALESCE(l.owner, 0) AND w.instance = l.worker
                AND w.revoked_at IS NOT NULL LIMIT 1
      ) IS NULL
    FOR UPDATE OF l SKIP LOCKED
)
UPDATE joblot_lease l SET expires_at = {now} + make_interval(secs => %(seconds)s::float8)
FROM due WHERE l.token = due.token
RETURNING 1

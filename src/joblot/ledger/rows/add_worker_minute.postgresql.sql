-- purpose: add what some workers have reported to the figures of a minute
-- guard: none; each process adds what it has gathered, once
-- locks: the workers' rows of this minute, by owner and instance
INSERT INTO joblot_worker_minute AS w (minute, owner, instance, succeeded, failed, error)
SELECT %(minute)s, r.owner, r.instance, r.succeeded, r.failed, r.error
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
    owner bigint, instance text, succeeded int, failed int, error text
)
ORDER BY r.owner, r.instance
ON CONFLICT (minute, owner, instance) DO UPDATE SET
    succeeded = w.succeeded + excluded.succeeded,
    failed = w.failed + excluded.failed,
    error = COALESCE(excluded.error, w.error)

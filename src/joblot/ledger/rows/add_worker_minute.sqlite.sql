-- purpose: add what some workers have reported to the figures of a minute
-- guard: none; each process adds what it has gathered, once
-- locks: none; the caller's transaction holds the only write lock
INSERT INTO joblot_worker_minute (minute, owner, instance, succeeded, failed, error)
SELECT %(minute)s, r.value ->> 'owner', r.value ->> 'instance', r.value ->> 'succeeded',
       r.value ->> 'failed', r.value ->> 'error'
FROM json_each(%(rows)s) r
WHERE true -- without it, ON would begin a join
ON CONFLICT (minute, owner, instance) DO UPDATE SET
    succeeded = joblot_worker_minute.succeeded + excluded.succeeded,
    failed = joblot_worker_minute.failed + excluded.failed,
    error = COALESCE(excluded.error, joblot_worker_minute.error)

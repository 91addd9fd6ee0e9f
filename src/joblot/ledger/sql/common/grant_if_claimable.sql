-- purpose: grant a lease on items cut from ranges that the caller has locked
-- guard: the job is claimable, read in this statement, after the ranges were locked
-- locks: the new lease
INSERT INTO joblot_lease (
    token, job_id, run, stage, state, size, open, ranges, gone, worker, idempotency_key,
    claimed_at, expires_at
)
SELECT %(token)s, j.id, j.run, %(stage)s, {LIVE}, %(size)s, %(size)s, %(ranges)s, '[]',
       %(worker)s, %(idempotency_key)s, {now}, {lease_end}
FROM joblot_job j
WHERE j.id = %(job)s AND j.status IN ({CLAIMABLE})
RETURNING run, expires_at

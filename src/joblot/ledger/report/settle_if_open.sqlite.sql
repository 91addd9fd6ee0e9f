-- purpose: settle an item of a lease in its stage
-- guard: none; the caller has judged it open, and its transaction holds the only write lock
-- locks: none
INSERT INTO joblot_outcome (
    job_id, stage, number, run, state, hash, output, output_ref, metrics,
    error_type, error_message, error_cause, error_traceback, lease_token, settled_at
)
VALUES (
    %(job)s, %(stage)s, %(number)s, %(run)s, %(state)s, %(hash)s, %(output)s, %(output_ref)s,
    %(metrics)s, %(error_type)s, %(error_message)s, %(error_cause)s, %(error_traceback)s,
    %(token)s, {now}
)

-- purpose: keep a success that is late or conflicting
-- guard: none; the caller has read what is kept, and its transaction holds the only write lock
-- locks: none
INSERT INTO joblot_uncounted (
    job_id, run, stage, number, receipt, hash, output, output_ref, lease_token, at
)
VALUES (
    %(job)s, %(run)s, %(stage)s, %(number)s, %(receipt)s, %(hash)s, %(output)s, %(output_ref)s,
    %(token)s, {now}
)

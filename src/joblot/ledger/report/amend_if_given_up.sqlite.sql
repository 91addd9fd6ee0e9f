-- purpose: turn a failed or lost item into a success of this lease
-- guard: the item is still what it was judged to be
-- locks: none; the caller's transaction holds the only write lock
UPDATE joblot_outcome
SET state = %(state)s, hash = %(hash)s, output = %(output)s, output_ref = %(output_ref)s,
    metrics = %(metrics)s, error_type = NULL, error_message = NULL, error_cause = NULL,
    error_traceback = NULL,
    lease_token = %(token)s, settled_at = {now}, amends = state
WHERE job_id = %(job)s AND stage = %(stage)s AND number = %(number)s AND state = %(was)s

-- purpose: turn failed and lost items into successes of this lease
-- guard: an item that is no longer what it was judged to be is left alone and not returned; the job's
--        row, which is locked by all that amend or reopen items, already excludes that
-- locks: items by number; the caller holds the lease and the job's row
WITH asked AS MATERIALIZED (
    SELECT p.*
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (
        number int, was smallint, state smallint, hash text, output jsonb, output_ref text,
        metrics jsonb
    )
), still AS MATERIALIZED (
    SELECT o.number
    FROM joblot_outcome o
    WHERE o.job_id = %(job)s AND o.stage = %(stage)s
      AND o.number = ANY (ARRAY(SELECT number FROM asked))
    ORDER BY o.number
    FOR UPDATE
)
UPDATE joblot_outcome o
SET state = a.state, hash = decode(a.hash, 'hex'), output = a.output, output_ref = a.output_ref,
    metrics = a.metrics, error_type = NULL, error_message = NULL, error_cause = NULL,
    error_traceback = NULL,
    lease_token = %(token)s::uuid, settled_at = {now}, amends = o.state
FROM asked a
JOIN still s ON s.number = a.number
WHERE o.job_id = %(job)s AND o.stage = %(stage)s AND o.number = a.number AND o.state = a.was
RETURNING o.number

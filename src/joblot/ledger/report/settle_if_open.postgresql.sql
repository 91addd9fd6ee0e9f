-- purpose: settle items of one lease in its stage
-- guard: an item that has an outcome in this stage is left alone and not returned
-- locks: items by number; the caller holds the lease
INSERT INTO joblot_outcome (
    job_id, stage, number, run, state, hash, output, output_ref, metrics,
    error_type, error_message, error_cause, error_traceback, lease_token, settled_at
)
SELECT %(job)s, %(stage)s, p.number, %(run)s, p.state, decode(p.hash, 'hex'), p.output,
       p.output_ref, p.metrics, p.error ->> 'type', p.error ->> 'message',
       p.error ->> 'cause', p.error ->> 'traceback', %(token)s::uuid, {now}
FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (
    number int, state smallint, hash text, output jsonb, output_ref text, metrics jsonb,
    error jsonb
)
ORDER BY p.number
ON CONFLICT (job_id, stage, number) DO NOTHING
RETURNING number

-- purpose: keep successes of one lease that are late or conflicting
-- guard: what is kept already is left alone and not returned: of an item one late success in a run,
--        and one conflicting success for each different output
-- locks: what is kept, by number; the caller holds the lease
INSERT INTO joblot_uncounted (
    job_id, run, stage, number, receipt, hash, output, output_ref, lease_token, at
)
SELECT %(job)s, %(run)s, %(stage)s, p.number, p.receipt, decode(p.hash, 'hex'), p.output,
       p.output_ref, %(token)s::uuid, {now}
FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (
    number int, receipt text, hash text, output jsonb, output_ref text
)
ORDER BY p.number
ON CONFLICT DO NOTHING
RETURNING number

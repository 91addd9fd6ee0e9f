-- purpose: add a transaction's changes to this connection's slot of a stage
-- guard: none; the caller has settled or reopened the items in the same transaction
-- locks: one slot, last of all; several in stage order
INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, lost, skipped, late)
VALUES (%(job)s, %(stage)s, {slot}, %(succeeded)s, %(failed)s, %(lost)s, %(skipped)s, %(late)s)
ON CONFLICT (job_id, stage, slot) DO UPDATE SET
    succeeded = joblot_tally.succeeded + excluded.succeeded,
    failed = joblot_tally.failed + excluded.failed,
    lost = joblot_tally.lost + excluded.lost,
    skipped = joblot_tally.skipped + excluded.skipped,
    late = joblot_tally.late + excluded.late

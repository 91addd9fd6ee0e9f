-- purpose: add one metric's share of what a transaction moved to this connection's slot
-- guard: none; the caller has moved the items in the same transaction
-- locks: one slot, after the tally's slots; a caller with several goes in stage, then name order
INSERT INTO joblot_metric (job_id, stage, slot, name, value)
VALUES (%(job)s, %(stage)s, {slot}, %(name)s, %(value)s)
ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
    value = joblot_metric.value + excluded.value

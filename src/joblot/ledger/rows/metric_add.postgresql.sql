-- purpose: add a transaction's change of one metric to this connection's slot
-- guard: none; the caller has settled or reopened the items in the same transaction
-- locks: one slot, after the tally's slots; several in order of stage, then name
INSERT INTO joblot_metric (job_id, stage, slot, name, value)
VALUES (%(job)s, %(stage)s, {slot}, %(name)s, %(value)s)
ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
    value = joblot_metric.value + excluded.value

-- purpose: add one metric's share of what a transaction moved to this connection's slot
-- guard: none; the caller has moved the items in the same transaction. sum() fails where + would go
--        on in floating point, which is not exact
-- locks: none of its own; the transaction holds the database's write lock
INSERT INTO joblot_metric (job_id, stage, slot, name, value)
VALUES (%(job)s, %(stage)s, {slot}, %(name)s, %(value)s)
ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
    value = (SELECT sum(v) FROM (SELECT joblot_metric.value AS v UNION ALL SELECT excluded.value))

-- purpose: add a transaction's change of one metric to this connection's slot
-- guard: none; the caller has settled or reopened the items in the same transaction. On overflow,
--        sum() fails, where + would continue in inexact floating point
-- locks: none of its own; the transaction holds the database's write lock
INSERT INTO joblot_metric (job_id, stage, slot, name, value)
VALUES (%(job)s, %(stage)s, {slot}, %(name)s, %(value)s)
ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
    value = (SELECT sum(v) FROM (SELECT joblot_metric.value AS v UNION ALL SELECT excluded.value))

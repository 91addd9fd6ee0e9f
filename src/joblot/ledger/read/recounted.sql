-- purpose: what the rows of a job say about its tallies, one row per number: what is counted, of
--          which stage, by which name
-- guard: none; a read
-- locks: none
SELECT 'outcomes' AS what, stage, CAST(state AS varchar(24)) AS name, COUNT(*) AS items
FROM joblot_outcome WHERE job_id = %(job)s GROUP BY stage, state
UNION ALL
SELECT 'late, kept', stage, '', COUNT(*)
FROM joblot_uncounted WHERE job_id = %(job)s AND receipt = 'late' GROUP BY stage
UNION ALL
SELECT 'late, tallied', stage, '', SUM(late)
FROM joblot_tally WHERE job_id = %(job)s GROUP BY stage
UNION ALL
SELECT 'metrics', stage, name, SUM(value)
FROM joblot_metric WHERE job_id = %(job)s GROUP BY stage, name
UNION ALL
SELECT 'events', 0, kind, COUNT(*)
FROM joblot_event WHERE job_id = %(job)s AND run = %(run)s AND kind IN ('finished', 'amended')
GROUP BY kind
UNION ALL
SELECT 'items', 0, '', COUNT(*) FROM joblot_item WHERE job_id = %(job)s

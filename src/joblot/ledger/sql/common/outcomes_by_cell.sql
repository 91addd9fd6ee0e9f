-- purpose: a stretch of items in cells of so many: how those of each were settled in a stage; an
--          item that was given up in an earlier stage is skipped
-- guard: none; a read
-- locks: none
SELECT cell, state, count(*)
FROM (
    SELECT (o.number - %(first)s) / %(cell_items)s AS cell,
           CASE WHEN o.stage = %(stage)s THEN o.state ELSE {SKIPPED} END AS state
    FROM joblot_outcome o
    WHERE o.job_id = %(job)s AND o.stage <= %(stage)s
      AND o.number BETWEEN %(first)s AND %(last)s
      AND (o.stage = %(stage)s OR o.state IN ({FAILED}, {LOST}))
) AS settled
GROUP BY cell, state

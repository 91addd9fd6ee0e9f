-- purpose: consecutive items in cells of a fixed size: how the items of each cell were settled in a
--          stage; an item that failed or was lost in an earlier stage is skipped
-- guard: none; a read
-- locks: none
SELECT cell, state, count(*)
FROM (
    SELECT (number - %(first)s) / %(cell_items)s AS cell, state
    FROM joblot_outcome
    WHERE job_id = %(job)s AND stage = %(stage)s AND number BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT (number - %(first)s) / %(cell_items)s, {SKIPPED}
    FROM joblot_outcome
    WHERE job_id = %(job)s AND number BETWEEN %(first)s AND %(last)s
      AND state IN ({FAILED}, {LOST}) AND +stage < %(stage)s
) AS settled
GROUP BY cell, state

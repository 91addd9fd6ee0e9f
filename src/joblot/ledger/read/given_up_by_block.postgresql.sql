-- purpose: the items that failed or were lost in a stage or before it, for a picture: texts as those
--          of settled_by_block; if `skipped`, an item given up before the stage is skipped in it
-- guard: none; a read
-- locks: none; +stage leaves the index of what was given up as the only one that fits
SELECT b.block, (
    SELECT string_agg(chr((o.number - b.block * %(size)s + 1) * 8
        + CASE WHEN %(skipped)s AND +o.stage < %(stage)s THEN {SKIPPED} ELSE o.state END), '')
    FROM joblot_outcome o
    WHERE o.job_id = %(job)s AND o.state IN ({FAILED}, {LOST}) AND +o.stage <= %(stage)s
      AND o.number BETWEEN b.block * %(size)s AND b.block * %(size)s + %(size)s - 1
)
FROM unnest(%(blocks)s::int[]) AS b (block)

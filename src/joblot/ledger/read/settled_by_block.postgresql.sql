-- purpose: how items were settled in a stage, for a picture: per block of consecutive numbers one
--          text, in which a character is an item: (its place in the block + 1) * 8 + its state
-- guard: none; a read
-- locks: none; a look-up of a part of the primary key for each block, whatever the statistics
SELECT b.block, (
    SELECT string_agg(chr((o.number - b.block * %(size)s + 1) * 8 + o.state), '')
    FROM joblot_outcome o
    WHERE o.job_id = %(job)s AND o.stage = %(stage)s
      AND o.number BETWEEN b.block * %(size)s AND b.block * %(size)s + %(size)s - 1
)
FROM unnest(%(blocks)s::int[]) AS b (block)

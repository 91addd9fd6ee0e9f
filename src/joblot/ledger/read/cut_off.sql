-- purpose: what a canceled run has left open, of one stage or of all: the items of leases that were
--          live when the cancel closed them
-- guard: none; a read
-- locks: none
SELECT stage, ranges, gone FROM joblot_lease
WHERE job_id = %(job)s AND run = %(run)s AND state = {CLOSED} AND open > 0
ORDER BY stage

-- purpose: close leases of a job up to a run, at most `size` in each of two states; returns a row
--          for each one
-- guard: not closed yet; with `unsettled`, an item may still be settled through the lease: a lease
--        that has settled all of its items is left as it is
-- locks: the leases; one that another transaction holds is skipped
-- note: two searches, each in the order of its index, so that none reads the leases that are spent
WITH held AS MATERIALIZED (
    SELECT token FROM joblot_lease
    WHERE job_id = %(job)s AND run <= %(run)s AND state IN ({CAN_SETTLE})
    ORDER BY state, stage
    LIMIT %(size)s
    FOR UPDATE SKIP LOCKED
), spent AS MATERIALIZED (
    SELECT token FROM joblot_lease
    WHERE job_id = %(job)s AND run <= %(run)s AND state = {SPENT}
      AND NOT (gone = '[]') -- if unsettled
    LIMIT %(size)s
    FOR UPDATE SKIP LOCKED
)
UPDATE joblot_lease SET state = {CLOSED}
WHERE token IN (SELECT token FROM held UNION ALL SELECT token FROM spent)
RETURNING 1

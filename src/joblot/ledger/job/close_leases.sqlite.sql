-- purpose: close leases of a job up to a run, at most `size` in each of two states; returns a row
--          for each one
-- guard: not closed yet; with `unsettled`, an item may still be settled through the lease: a lease
--        that has settled all of its items is left as it is
-- locks: none of its own; the statement holds the database's write lock
UPDATE joblot_lease SET state = {CLOSED}
WHERE token IN (
    SELECT * FROM (
        SELECT token FROM joblot_lease {by_state}
        WHERE job_id = %(job)s AND run <= %(run)s AND state IN ({CAN_SETTLE})
        LIMIT %(size)s
    )
    UNION ALL
    SELECT * FROM (
        SELECT token FROM joblot_lease
        {gave_back} -- if unsettled
        WHERE job_id = %(job)s AND run <= %(run)s AND state = {SPENT}
          AND NOT (gone = '[]') -- if unsettled
        LIMIT %(size)s
    )
)
RETURNING 1

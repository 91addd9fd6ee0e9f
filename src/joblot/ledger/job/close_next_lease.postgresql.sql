-- purpose: close one of the leases that `close_leases` has skipped; returns a row, or none if there
--          is no such lease
-- guard: as there, when the statement begins; a lease that settles its last item meanwhile is closed
--        all the same
-- locks: this lease, which is waited for; no other is held meanwhile
UPDATE joblot_lease SET state = {CLOSED}
WHERE token = (
    SELECT token FROM (
        (
            SELECT token FROM joblot_lease
            WHERE job_id = %(job)s AND run <= %(run)s AND state IN ({CAN_SETTLE})
            ORDER BY state, stage
            LIMIT 1
        )
        UNION ALL
        (
            SELECT token FROM joblot_lease
            WHERE job_id = %(job)s AND run <= %(run)s AND state = {SPENT}
              AND NOT (gone = '[]') -- if unsettled
            LIMIT 1
        )
    ) AS left_over
    LIMIT 1
)
RETURNING 1

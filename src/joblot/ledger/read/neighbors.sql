-- purpose: the nearest items before and behind a number that failed or were lost in any stage
-- guard: none; a read
-- locks: none
SELECT (SELECT number FROM joblot_outcome
        WHERE job_id = %(job)s AND number < %(number)s AND state IN ({FAILED}, {LOST})
        ORDER BY job_id DESC, number DESC LIMIT 1),
       (SELECT number FROM joblot_outcome
        WHERE job_id = %(job)s AND number > %(number)s AND state IN ({FAILED}, {LOST})
        ORDER BY job_id, number LIMIT 1)

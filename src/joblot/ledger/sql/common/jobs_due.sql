-- purpose: jobs whose look may be due: all settled and not finished, or changed after their end
-- guard: none; the look decides
-- locks: none
SELECT j.id
FROM joblot_job j
WHERE (
    j.sealed AND j.status IN ({FINALIZABLE})
    AND j.total * (SELECT count(*) FROM joblot_stage s WHERE s.job_id = j.id) = COALESCE((
        SELECT sum(t.succeeded + t.failed + t.lost + t.skipped)
        FROM joblot_tally t WHERE t.job_id = j.id
    ), 0)
) OR (
    j.status IN ({TERMINAL})
    AND EXISTS (SELECT 1 FROM joblot_tally t WHERE t.job_id = j.id AND t.slot > 0)
)
ORDER BY j.id
LIMIT %(jobs)s

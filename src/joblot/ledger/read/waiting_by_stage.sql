-- purpose: by stage, how many queued items wait for their next try
-- guard: none; a read
-- locks: none
SELECT stage, SUM(last - next + 1) FROM joblot_range
WHERE job_id = %(job)s AND not_before > {now}
GROUP BY stage

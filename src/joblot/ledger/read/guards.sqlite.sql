-- purpose: the triggers that guard the job's row
-- guard: none
-- locks: none
SELECT name FROM sqlite_master
WHERE type = 'trigger' AND tbl_name = 'joblot_job'
ORDER BY name

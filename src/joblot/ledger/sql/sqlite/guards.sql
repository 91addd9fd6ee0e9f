-- Purpose: which triggers guard the job's row. Guard: none. Locks: none.
SELECT name FROM sqlite_master
WHERE type = 'trigger' AND tbl_name = 'joblot_job'
ORDER BY name

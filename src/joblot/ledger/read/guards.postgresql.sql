-- purpose: the enabled triggers that guard the job's row
-- guard: none
-- locks: none
SELECT tgname FROM pg_trigger
WHERE tgrelid = to_regclass('joblot_job') AND NOT tgisinternal AND tgenabled IN ('O', 'A')
ORDER BY tgname

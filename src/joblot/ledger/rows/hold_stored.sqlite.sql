-- purpose: keep the files of large outputs until the caller has committed what refers to them
-- guard: the file is stored, and is not being removed
-- locks: none; the caller's transaction holds the only write lock
SELECT name
FROM joblot_stored_output
WHERE name IN (SELECT value FROM json_each(%(names)s)) AND state = {STORED}

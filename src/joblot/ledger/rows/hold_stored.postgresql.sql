-- purpose: hold the files of large outputs until the caller has committed what refers to them
-- guard: the file is stored, and nobody is removing it
-- locks: the files' rows by name, shared with other reports; the sweep passes over what is locked
SELECT name
FROM joblot_stored_output
WHERE name = ANY(%(names)s::text[]) AND state = {STORED}
ORDER BY name
FOR KEY SHARE

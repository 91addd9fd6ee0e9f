-- purpose: keep the files of large outputs until the caller has committed what refers to them
-- guard: the file is stored, and is not being removed
-- locks: the files' rows by name, shared with other reports; the sweep skips locked rows
SELECT name
FROM joblot_stored_output
WHERE name = ANY(%(names)s::text[]) AND state = {STORED}
ORDER BY name
FOR KEY SHARE

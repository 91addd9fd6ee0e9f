-- purpose: when a worker was revoked; no row if it is not
-- guard: none; an empty claim runs this, so it is not left to the ORM
-- locks: none
SELECT revoked_at FROM joblot_worker
WHERE owner = %(owner)s AND instance = %(instance)s AND revoked_at IS NOT NULL

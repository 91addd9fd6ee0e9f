-- purpose: say what a lease still holds, and what it gave back
-- guard: none; the caller has locked the lease
-- locks: none
UPDATE joblot_lease SET open = %(open)s, gone = %(gone)s, state = %(state)s
WHERE token = %(token)s

-- purpose: how many items an owner's live leases hold
-- guard: none; the statement that grants a lease counts again
-- locks: none
SELECT COALESCE(sum(open), 0) FROM joblot_lease WHERE owner = %(owner)s AND state = {LIVE}

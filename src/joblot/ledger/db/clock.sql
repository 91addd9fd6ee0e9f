-- purpose: the database's time.
-- guard: none
-- locks: none
SELECT {now}

-- purpose: read the database's clock
-- guard: none
-- locks: none
SELECT {now}

-- Purpose: the database's time. Guard: none. Locks: none.
SELECT {now}

-- purpose: wake the processes that wait for work
-- guard: none; a hint, sent after the commit of what they are to find
-- locks: the one of all notifying transactions, until the commit, which does not wait for the disk
SELECT set_config('synchronous_commit', 'off', true), pg_notify('joblot_work', %(payload)s::text)

-- purpose: whether anything may be due for a job after the commit of a report
-- guard: in the function
-- locks: none
SELECT joblot_may_be_due_1(%(job)s::bigint, %(failed)s::int)

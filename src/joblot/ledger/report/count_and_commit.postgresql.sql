-- purpose: `report/count`, the COMMIT of the caller's transaction, and then whether anything may be due
--          for the job, in one message
-- guard: none; the caller has settled the items. If a statement fails, those after it do not run
-- locks: as `joblot_count_1`; none after the COMMIT
SELECT joblot_count_1(
    %(job)s::bigint, %(stage)s::smallint, %(succeeded)s::int, %(failed)s::int, %(metrics)s::jsonb
);
COMMIT;
SELECT joblot_due_after_commit_1(%(job)s::bigint, %(failed)s::int)

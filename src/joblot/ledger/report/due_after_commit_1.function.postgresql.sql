-- purpose: as `joblot_may_be_due_1`, in a message whose COMMIT has been executed: no error is raised then.
--          If the check fails, the job may be due, and the caller reads its sums
-- guard: in `joblot_may_be_due_1`
-- locks: none
CREATE OR REPLACE FUNCTION joblot_due_after_commit_1(
    job bigint,
    failed int
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $due$
BEGIN
    -- step: the commit is done
    RETURN joblot_may_be_due_1(job, failed);
EXCEPTION WHEN OTHERS OR query_canceled THEN
    RETURN true;
END $due$;

-- purpose: whether anything may be due for a job after a report, without reading its sums
-- guard: called after the commit of the report, in a new snapshot. An item that waits in a range that
--        was never granted has no outcome, so the job is not finished; the report that settles it checks again.
--        A range that came back proves nothing: its items may have been settled through an expired
--        lease. An alert and a halt need the sums whenever the report failed items
-- locks: none; looks at no more than the newest ranges, so that it costs the same for every job
CREATE OR REPLACE FUNCTION joblot_may_be_due_1(
    job bigint,
    failed int
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $due$
BEGIN
    IF failed > 0 THEN
        -- step: look for a limit of failures
        PERFORM 1
        FROM joblot_job j
        WHERE j.id = job AND COALESCE(
            j.policy ->> 'alert_failed_items', j.policy ->> 'halt_failed_items',
            j.policy ->> 'halt_failed_share'
        ) IS NOT NULL;
        IF FOUND THEN
            RETURN true;
        END IF;
    END IF;
    -- step: look for a range that was never granted
    PERFORM 1
    FROM (
        SELECT r.failures, r.returns
        FROM joblot_range r
        WHERE (r.job_id, r.stage, r.id) >= (job, 0, 0) AND (r.job_id, r.stage) <= (job, 32767)
        ORDER BY r.job_id DESC, r.stage DESC, r.id DESC
        LIMIT 8
    ) newest
    WHERE newest.failures = 0 AND newest.returns = 0;
    RETURN NOT FOUND;
END $due$;

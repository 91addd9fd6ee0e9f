-- purpose: add what `joblot_settle_1` has settled to this connection's slots of the stage; what failed
--          is skipped in the later stages. Returns how many. `metrics` is an array of objects
-- guard: none; the caller has settled the items in the same transaction
-- locks: slots by stage (tallies, then metrics), last of all
CREATE OR REPLACE FUNCTION joblot_count_1(
    job bigint,
    stage smallint,
    succeeded int,
    failed int,
    metrics jsonb
) RETURNS int LANGUAGE plpgsql VOLATILE AS $count$
#variable_conflict use_column
BEGIN
    -- step: count
    INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, skipped)
    VALUES (
        job, joblot_count_1.stage, {slot}, joblot_count_1.succeeded, joblot_count_1.failed, 0
    )
    ON CONFLICT (job_id, stage, slot) DO UPDATE SET
        succeeded = joblot_tally.succeeded + excluded.succeeded,
        failed = joblot_tally.failed + excluded.failed;
    IF joblot_count_1.failed > 0 THEN
        -- step: count as skipped later on
        INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, skipped)
        SELECT job, s.position, {slot}, 0, 0, joblot_count_1.failed
        FROM joblot_stage s
        WHERE s.job_id = job AND s.position > joblot_count_1.stage
        ORDER BY s.position
        ON CONFLICT (job_id, stage, slot) DO UPDATE SET
            skipped = joblot_tally.skipped + excluded.skipped;
    END IF;
    IF joblot_count_1.metrics IS NOT NULL THEN
        -- step: add the metrics
        INSERT INTO joblot_metric (job_id, stage, slot, name, value)
        SELECT job, joblot_count_1.stage, {slot}, e.name, sum(e.value::bigint)
        FROM jsonb_array_elements(joblot_count_1.metrics) AS one (metrics)
        CROSS JOIN LATERAL jsonb_each_text(one.metrics) AS e (name, value)
        GROUP BY e.name
        ORDER BY e.name
        ON CONFLICT (job_id, stage, slot, name) DO UPDATE SET
            value = joblot_metric.value + excluded.value;
    END IF;
    RETURN joblot_count_1.succeeded + joblot_count_1.failed;
END $count$;

-- purpose: what the hook of a pipeline is called with for these items of one stage, by number; the
--          config is null if the job was reopened since `run`
-- guard: none; the caller has settled the items in the same transaction
-- locks: none
CREATE OR REPLACE FUNCTION joblot_hook_input_1(
    job bigint,
    run int,
    stage smallint,
    passed int[],
    OUT stage_name varchar,
    OUT pipeline varchar,
    OUT config text,
    OUT numbers int[],
    OUT keys text[],
    OUT payloads text[]
) LANGUAGE plpgsql VOLATILE SET jit = off AS $hook_input$
#variable_conflict use_column
BEGIN
    -- step: read the job
    SELECT s.name, s.pipeline, CASE WHEN j.run = joblot_hook_input_1.run THEN j.config::text END
    INTO stage_name, pipeline, config
    FROM joblot_stage s
    JOIN joblot_job j ON j.id = s.job_id
    WHERE s.job_id = job AND s.position = joblot_hook_input_1.stage;
    -- step: read the items
    SELECT array_agg(i.number), array_agg(i.key), array_agg(i.payload)
    INTO numbers, keys, payloads
    FROM (
        SELECT one.number, one.key, one.payload::text
        FROM unnest(passed) AS asked (number)
        CROSS JOIN LATERAL (
            SELECT t.number, t.key, t.payload
            FROM joblot_item t
            WHERE t.job_id = job AND t.number = asked.number
            LIMIT 1
        ) one
        ORDER BY one.number
    ) i;
END $hook_input$;

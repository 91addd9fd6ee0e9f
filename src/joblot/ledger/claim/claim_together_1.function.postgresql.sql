-- purpose: several claims in one statement and one commit, each as `joblot_claim_1`. Claim n searches the
--          stages from `firsts[n]` to `ends[n]` of the arrays. Returns a row for each, in order, with its
--          position in `claim`
-- guard: in `joblot_claim_1`. A claim sees what those before it have taken, as their caps do
-- locks: as `joblot_claim_1`, of all of them; it waits for no range
CREATE OR REPLACE FUNCTION joblot_claim_together_1(
    clock timestamptz,
    jobs bigint[],
    stages int[],
    afters bigint[],
    wanted int[],
    firsts int[],
    ends int[],
    tokens uuid[],
    workers varchar[],
    owners bigint[],
    owners_items_max int[],
    keys varchar[],
    askeds bytea[]
) RETURNS TABLE (
    claim int,
    outcome text,
    place int,
    range_id bigint,
    run int,
    expires_at timestamptz,
    status varchar,
    version bigint,
    config text,
    trace varchar,
    lease_seconds float8,
    stage_name varchar,
    pipeline varchar,
    spans text,
    items text,
    inputs text
) LANGUAGE plpgsql VOLATILE AS $claims$
DECLARE
    made record;
BEGIN
    FOR n IN 1 .. cardinality(tokens) LOOP
        -- step: the next claim
        made := joblot_claim_1(
            clock, jobs[firsts[n]:ends[n]], stages[firsts[n]:ends[n]], afters[firsts[n]:ends[n]],
            wanted[firsts[n]:ends[n]], '', tokens[n], workers[n], owners[n],
            owners_items_max[n], keys[n], askeds[n]
        );
        claim := n;
        outcome := made.outcome;
        place := made.place;
        range_id := made.range_id;
        run := made.run;
        expires_at := made.expires_at;
        status := made.status;
        version := made.version;
        config := made.config;
        trace := made.trace;
        lease_seconds := made.lease_seconds;
        stage_name := made.stage_name;
        pipeline := made.pipeline;
        spans := made.spans;
        items := made.items;
        inputs := made.inputs;
        RETURN NEXT;
    END LOOP;
END $claims$;

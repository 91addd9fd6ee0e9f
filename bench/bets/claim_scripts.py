"""Tables and pgbench scripts for the ways to claim that `claim.py` compares."""

# A queue's statistics are always wrong (analysed empty, read full), so the index is forced.
OPTIONS = (
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off -c jit=off"
    " -c plan_cache_mode=force_generic_plan"
)

TABLES = """
DROP TABLE IF EXISTS joblot_job, joblot_lease, joblot_range, joblot_item;
CREATE TABLE joblot_job (id int PRIMARY KEY, status smallint, run int);
CREATE TABLE joblot_lease (token uuid PRIMARY KEY, job_id int, run int, stage smallint,
  state smallint, size int, open int, ranges jsonb, expires_at timestamptz);
CREATE TABLE joblot_range (id bigserial PRIMARY KEY, job_id int, stage smallint, shard smallint,
  pipeline text, project text, priority int, next int, last int,
  not_before timestamptz DEFAULT '-infinity', failures int DEFAULT 0, expiries int DEFAULT 0,
  level smallint DEFAULT 0) WITH (fillfactor = 70);
CREATE INDEX ON joblot_range (job_id, stage, {index});
CREATE TABLE joblot_item AS SELECT 1 AS job_id, n AS number, 'images/' || n || '.jpg' AS key,
  jsonb_build_object('path', 'images/' || n) AS payload, 0::smallint AS stage, 0::smallint AS state,
  NULL::uuid AS lease FROM generate_series(0, {items} - 1) n;
ALTER TABLE joblot_item ADD PRIMARY KEY (job_id, number);
CREATE INDEX ON joblot_item (job_id, number) WHERE state = 0;
INSERT INTO joblot_job VALUES (1, 1, 1);
"""
ADD = """INSERT INTO joblot_range (job_id, stage, shard, pipeline, project, priority, next, last)
  VALUES (1, %s, %s, 'moths', 'panama', 0, %s, %s)"""

FREE = """WITH r AS (SELECT id FROM joblot_range WHERE job_id = 1 AND stage = :stage {behind}
  AND not_before <= statement_timestamp() ORDER BY {order} LIMIT 1 FOR UPDATE SKIP LOCKED)
  SELECT coalesce(max(id), 0) AS range,
  extract(epoch FROM statement_timestamp())::int AS second FROM r \\gset
"""
# The status is read in a new statement, after the range is locked; so a cancel is never missed.
TAKE = """WITH job AS (SELECT id, run FROM joblot_job WHERE id = 1 AND status IN (1, 2)),
  cut AS (UPDATE joblot_range r SET next = next + 16 FROM job
    WHERE r.id = :range AND next + 16 <= last RETURNING next - 16 AS first, next - 1 AS last),
  spent AS (DELETE FROM joblot_range r USING job
    WHERE r.id = :range AND next + 16 > r.last RETURNING next AS first, r.last AS last)
  INSERT INTO joblot_lease SELECT gen_random_uuid(), job.id, job.run, :stage, 0, last - first + 1,
    last - first + 1, jsonb_build_array(jsonb_build_array(first, last)),
    statement_timestamp() + interval '5 minutes'
    FROM job, (SELECT * FROM cut UNION ALL SELECT * FROM spent) taken;
"""
TAKEN = "\\if :range > 0\n" + TAKE + "COMMIT;\n\\else\nCOMMIT;\n\\sleep 2 ms\n\\endif\n"
ANY = FREE.format(behind="AND id > :{}", order="id")
HEAD = "BEGIN;\n" + FREE.format(behind="", order="id") + TAKEN
SHARD = f"""\\set shard random(0, 63)
BEGIN;
{FREE.format(behind="AND shard >= :shard", order="shard, id")}\\if :range = 0
{FREE.format(behind="", order="shard, id")}\\endif
{TAKEN}"""
CURSOR = f"""BEGIN;
{ANY.format("cursor")}\\if :range = 0
{ANY.format("zero")}\\endif
\\if :range > 0
\\set cursor :range
\\endif
{TAKEN}"""
# A wrap finds where live rows begin; the floor is reset every 5 s, since a late commit or a
# rollback may make a lower row visible.
FLOOR = f"""BEGIN;
{ANY.format("cursor")}\\if :second >= :forget
\\set floor 0
\\set forget :second + 5
\\endif
\\if :range = 0
{ANY.format("floor")}\\if :range = 0
\\set floor :cursor
\\else
\\set floor :range - 1
\\endif
\\endif
\\if :range > 0
\\set cursor :range
\\endif
{TAKEN}"""
PEER = """UPDATE joblot_item SET state = 1, lease = gen_random_uuid() WHERE job_id = 1
  AND number IN (SELECT number FROM joblot_item WHERE job_id = 1 AND state = 0
  ORDER BY number LIMIT 16 FOR UPDATE SKIP LOCKED);
"""
PRODUCE = "\\set n :n + 1\n" + ADD.replace("%s", "{}").format(1, 0, ":n * 16", ":n * 16 + 15")

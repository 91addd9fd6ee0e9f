"""Bet 1: what does it cost to settle 16 items of one hot job, with 32 clients at once?

    python bench/bets/settle.py --dsn "host=/tmp dbname=bets" [--commit-delay 2000] [--only c,bare]

Drops and creates its own joblot_* tables in that database; needs a superuser (commit_delay).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from statistics import median

import psycopg
from load import finish, start

CLIENTS, BATCH = 32, 16

TABLES = """
DROP TABLE IF EXISTS joblot_job, joblot_lease, joblot_tally, joblot_outcome, joblot_item;
CREATE TABLE joblot_job (id int PRIMARY KEY, status smallint, version int, n int);
CREATE TABLE joblot_lease (token uuid PRIMARY KEY, job_id int, run int, stage smallint,
  state smallint, size int, open int, ranges jsonb, expires_at timestamptz)
  WITH (fillfactor={fill});
CREATE TABLE joblot_tally (job_id int, stage smallint, slot smallint, succeeded int, failed int,
  lost int, skipped int, late int, PRIMARY KEY (job_id, stage, slot)) WITH (fillfactor={fill});
CREATE TABLE joblot_outcome (job_id int, stage smallint, number int, outcome smallint, hash bytea,
  output jsonb, lease uuid, run int, settled_at timestamptz, PRIMARY KEY (job_id, stage, number));
CREATE TABLE joblot_item AS SELECT 1 AS job_id, n AS number, 'images/' || n || '.jpg' AS key,
  jsonb_build_object('path', 'images/' || n) AS payload, 0::smallint AS stage, 0::smallint AS state
  FROM generate_series(0, {items} - 1) n;
ALTER TABLE joblot_item ADD PRIMARY KEY (job_id, number), ADD UNIQUE (job_id, key);
INSERT INTO joblot_job SELECT n, 1, 1, 0 FROM generate_series(1, {clients}) n;
INSERT INTO joblot_lease SELECT md5(b::text)::uuid, {job_of_batch}, 1, 0, 0, 16, 16,
  jsonb_build_array(jsonb_build_array(b * 16, b * 16 + 15)), now() + interval '1 hour'
  FROM generate_series(0, {batches} - 1) b;
ANALYZE;
"""

# Every client settles its own leases: batch = client * share + 1, 2, 3 …
HEAD = "\\set n :n + 1\n\\set batch :client_id * :share + :n\n\\set first :batch * 16\n"
LEASE = """SELECT token, job_id, run, stage FROM joblot_lease
  WHERE token = md5((:batch::int)::text)::uuid AND state = 0 FOR UPDATE"""
RESULTS = """generate_series(:first::int, :first::int + 15) AS number"""
ROW = """l.job_id, l.stage, number, 1, sha256(int4send(number)),
  jsonb_build_object('label', 'moth', 'score', 0.93), l.token, l.run, statement_timestamp()"""
CREDIT = """UPDATE joblot_lease SET open = open - m.n, state = (open = m.n)::int::smallint
  FROM (SELECT count(*) AS n FROM moved) m WHERE token = (SELECT token FROM lease) AND m.n > 0"""
TALLY = """INSERT INTO joblot_tally SELECT l.job_id, l.stage, pg_backend_pid() % 64, m.n, 0, 0, 0, 0
  FROM lease l, (SELECT count(*) AS n FROM moved) m WHERE m.n > 0
  ON CONFLICT (job_id, stage, slot) DO UPDATE
  SET succeeded = joblot_tally.succeeded + excluded.succeeded"""
MOVE_ITEMS = f"""(SELECT i.job_id, i.number FROM joblot_item i, lease l, {RESULTS}
  WHERE i.job_id = l.job_id AND i.number = number.number AND i.stage = l.stage AND i.state = 0
  ORDER BY i.number FOR UPDATE OF i)"""
UPDATE = """UPDATE joblot_item i SET state = 1 FROM still_open o
  WHERE i.job_id = o.job_id AND i.number = o.number RETURNING i.number"""
INSERT = f"""INSERT INTO joblot_outcome SELECT {ROW} FROM lease l, {RESULTS} ORDER BY number
  ON CONFLICT DO NOTHING RETURNING number"""
ITEMS = f"""WITH lease AS MATERIALIZED ({LEASE}), still_open AS MATERIALIZED {MOVE_ITEMS},
  moved AS ({UPDATE})"""
OUTCOMES = f"WITH lease AS MATERIALIZED ({LEASE}), moved AS ({INSERT})"
SETTLED = f"credit AS ({CREDIT}), tally AS ({TALLY}) SELECT number FROM moved"
C = f"{OUTCOMES}, {SETTLED};"
KEPT = f"kept AS (INSERT INTO joblot_outcome SELECT {ROW} FROM lease l, moved)"
UNCREDITED = f"{OUTCOMES}, tally AS ({TALLY}) SELECT number FROM moved;"
RECONCILE = """SELECT j.version, j.status, t.stage, sum(t.succeeded), sum(t.failed), sum(t.lost),
  sum(t.skipped)
  FROM joblot_job j LEFT JOIN joblot_tally t ON t.job_id = j.id
  WHERE j.id = (:batch::int) * 0 + 1 GROUP BY j.version, j.status, t.stage;"""
PLAIN_ROWS = f"""INSERT INTO joblot_outcome SELECT {ROW}
  FROM (SELECT 1 AS job_id, 0 AS stage, gen_random_uuid() AS token, 1 AS run) l, {RESULTS}"""
COUNTER = f"""WITH moved AS ({PLAIN_ROWS} RETURNING number)
  UPDATE joblot_job SET n = n + (SELECT count(*) FROM moved) WHERE id = 1;"""
SEPARATE = f"""BEGIN;
SELECT token, job_id, run, stage FROM joblot_lease
  WHERE token = md5((:batch::int)::text)::uuid AND state = 0 FOR UPDATE;
INSERT INTO joblot_outcome SELECT {ROW} FROM (SELECT 1 AS job_id, 0 AS stage,
  md5((:batch::int)::text)::uuid AS token, 1 AS run) l, {RESULTS} ORDER BY number
  ON CONFLICT DO NOTHING RETURNING number;
UPDATE joblot_lease SET open = open - 16, state = 1 WHERE token = md5((:batch::int)::text)::uuid;
INSERT INTO joblot_tally VALUES (1, 0, pg_backend_pid() % 64, 16, 0, 0, 0, 0)
  ON CONFLICT (job_id, stage, slot) DO UPDATE
  SET succeeded = joblot_tally.succeeded + excluded.succeeded;
COMMIT;"""


@dataclass(frozen=True)
class Variant:
    """A way to settle: its script and its table layout."""

    what: str
    script: str
    jobs: int = 1
    fill: int = 100


VARIANTS = {
    "bare": Variant("bare insert of 16 outcome rows", PLAIN_ROWS + ";"),
    "a": Variant("item updated, no outcome row", f"{ITEMS}, {SETTLED};"),
    "b": Variant("item updated, outcome row inserted", f"{ITEMS}, {KEPT}, {SETTLED};"),
    "c": Variant("the outcome row is the settlement", C),
    "d": Variant("as c, lease locked but not credited", UNCREDITED),
    "e": Variant("16 outcome rows, then UPDATE job SET n = n + 16", COUNTER),
    "c-separate": Variant("c as BEGIN, four statements, COMMIT", SEPARATE),
    "c-reconcile": Variant("c, then the reconciliation's SELECT", C + "\n" + RECONCILE),
    "c-32jobs": Variant("c on 32 jobs", C, jobs=CLIENTS),
    "c-fill70": Variant("c, fillfactor 70 on lease and tally", C, fill=70),
}


def measure(dsn: str, variant: Variant, seconds: int, share: int, options: str) -> dict[str, float]:
    """One run on fresh tables: batches/s, WAL bytes per item, dead rows, HOT share of updates."""
    of_items = "joblot_item" in variant.script
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(TABLES.format(
            fill=variant.fill, clients=CLIENTS, batches=CLIENTS * share,
            items=CLIENTS * share * BATCH if of_items else 1,
            job_of_batch=f"1 + b / {share}" if variant.jobs > 1 else "1",
        ))  # fmt: skip
        wal = "SELECT pg_current_wal_insert_lsn() - '0/0'"
        before = db.execute(wal).fetchone()
        extra = ("-D", "n=0", "-D", f"share={share}")
        load = finish(start(dsn, HEAD + variant.script, clients=CLIENTS, seconds=seconds,
                            options=options, extra=extra))  # fmt: skip
        after = db.execute(wal).fetchone()
        exact(db, variant, load.transactions * BATCH)
        dead = db.execute("""SELECT sum(n_dead_tup), sum(n_tup_hot_upd) / nullif(sum(n_tup_upd), 0)
          FROM pg_stat_user_tables""").fetchone()
    assert before is not None
    assert after is not None
    assert dead is not None
    items = load.transactions * BATCH
    return {"rate": load.rate, "wal": float(after[0] - before[0]) / items,
            "dead": float(dead[0]) / items, "hot": float(dead[1] or 0)}  # fmt: skip


def exact(db: psycopg.Connection, variant: Variant, items: int) -> None:
    """A figure is valid only if every batch moved its 16 items (so the leases did not run out)."""
    query = "SELECT count(*) FROM joblot_outcome"
    if "joblot_tally" in variant.script:
        query = "SELECT sum(succeeded) FROM joblot_tally"
    found = db.execute(query).fetchone()
    assert found == (items,), (variant.what, found, items)


def main() -> None:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--dsn", required=True)
    parser.add_argument(
        "--commit-delay", type=int, default=0, help="microseconds, as on cloud disks"
    )
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=int, default=2500, help="leases created per client")
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--options", default="", help="more settings, e.g. -c plan_cache_mode=…")
    args = parser.parse_args()
    options = f"-c commit_delay={args.commit_delay} -c commit_siblings=0 {args.options}"
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in args.only.split(",")}
    for _ in range(args.rounds):
        for name, rounds in runs.items():
            run = measure(args.dsn, VARIANTS[name], args.seconds, args.share, options)
            rounds.append(run)
            print(f"# {name}: {run['rate']:,.0f}", flush=True)
    print(table(runs))


def table(runs: dict[str, list[dict[str, float]]]) -> str:
    """The medians as a Markdown table; `of bare` is the median of the rounds' own ratios."""
    lines = ["| | | batches/s | of bare | WAL bytes/item | dead rows/item | HOT |"]
    lines.append("|---" * 7 + "|")
    for name, rounds in runs.items():
        mid = {key: median(run[key] for run in rounds) for key in rounds[0]}
        bare = runs.get("bare", rounds)
        ratio = median(run["rate"] / base["rate"] for run, base in zip(rounds, bare, strict=True))
        lines.append(f"| {name} | {VARIANTS[name].what} | {mid['rate']:,.0f} | {ratio:.2f} "
                     f"| {mid['wal']:,.0f} | {mid['dead']:.3f} | {mid['hot']:.0%} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Bet 2: what does a claim of 16 items cost with 32 clients at once, and does it stay flat?

    python bench/bets/claim.py --dsn "host=/tmp dbname=bets" [--part big|small] [--snapshot]

`big`: one job of 4,000,000 items is queued in ranges (`peer`: in item rows). `small`: a second
stage, in which 16 producers add ranges of 16 items and 16 claimers each take a whole one.
`--snapshot` holds one old snapshot open meanwhile. Drops and creates its own joblot_* tables in
that database.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from statistics import mean, median

import psycopg
from claim_scripts import ADD, CURSOR, FLOOR, HEAD, OPTIONS, PEER, PRODUCE, SHARD, TABLES
from load import finish, old_snapshot, start

CLIENTS, TOTAL = 32, 4_000_000


def equal(count: int) -> list[tuple[int, int]]:
    size = TOTAL // count
    return [(first, first + size - 1) for first in range(0, size * count, size)]


def capped() -> list[tuple[int, int]]:
    """Like `growing`, with at most 1,024 items: a range has at most 64 versions."""
    grown = [range_ for range_ in growing() if range_[1] - range_[0] < 1024]
    return grown + [(n, n + 1023) for n in range(grown[-1][1] + 1, TOTAL, 1024)]


def growing() -> list[tuple[int, int]]:
    """Ranges of max(64, submitted / 256) items, as a job is filled without knowing its total."""
    ranges, first = [], 0
    while first < TOTAL:
        size = max(64, first // 256)
        ranges.append((first, first + size - 1))
        first += size
    return ranges


@dataclass(frozen=True)
class Variant:
    """A way to claim: its script, and the job's initial ranges."""

    what: str
    script: str
    ranges: list[tuple[int, int]]
    index: str = "id"


BIG = {
    "peer": Variant("item rows, ORDER BY … SKIP LOCKED", PEER, []),
    "1": Variant("32 ranges, first free one", HEAD, equal(32)),
    "2": Variant("512 ranges, random shard", SHARD, equal(512), "shard, id"),
    "3": Variant("growing ranges, behind the cursor", CURSOR, growing()),
    "3d": Variant("the same, of 1,024 items at most", CURSOR, capped()),
}
SMALL = {
    "3a": Variant("small ranges, from the head", HEAD, []),
    "3b": Variant("small ranges, behind the cursor, wrap at 0", CURSOR, []),
    "3c": Variant("small ranges, behind the cursor, wrap at the floor", FLOOR, []),
}
VARIABLES = ("cursor=0", "zero=0", "floor=0", "forget=0", "range=0", "second=0")


def prepare(db: psycopg.Connection, variant: Variant) -> None:
    db.execute(TABLES.format(index=variant.index, items=1 if variant.ranges else TOTAL // 5))
    with db.cursor() as cursor:
        cursor.executemany(ADD, [(0, n % 64, *range_) for n, range_ in enumerate(variant.ranges)])
    db.execute("ANALYZE")


def measure(
    dsn: str, variant: Variant, seconds: int, snapshot: bool, rate: int
) -> dict[str, float]:
    """One run on fresh tables; `first` and `last` are claims/s in its first and last 5 seconds."""
    small = variant in SMALL.values()
    variables = [v for name in (*VARIABLES, f"stage={int(small)}") for v in ("-D", name)]
    with psycopg.connect(dsn, autocommit=True, options=OPTIONS) as db:
        prepare(db, variant)
        with old_snapshot(dsn, snapshot):
            load = start(dsn, variant.script, clients=16 if small else CLIENTS, seconds=seconds,
                         options=OPTIONS, extra=tuple(variables))  # fmt: skip
            if not small:
                done = finish(load)
                return {"first": mean(done.per_second[:5]), "last": mean(done.per_second[-5:])}
            paced = ("-R", str(rate), "-D", "n=0")
            finish(start(dsn, PRODUCE, clients=16, seconds=seconds, extra=paced))
            polls = mean(finish(load).per_second[-5:])
            return drained(db, seconds) | {"polls": polls} | probe(db)


def drained(db: psycopg.Connection, seconds: int) -> dict[str, float]:
    """Claims/s that took items, by the leases' timestamps; and the backlog at the end."""
    found = db.execute(
        """WITH l AS (SELECT expires_at - min(expires_at) OVER () AS age FROM joblot_lease)
        SELECT count(*) FILTER (WHERE age < interval '5 s') / 5.0,
          count(*) FILTER (WHERE age BETWEEN %s * interval '1 s' AND %s * interval '1 s') / 5.0,
          (SELECT count(*) FROM joblot_range), (SELECT count(*) FROM joblot_lease) FROM l""",
        (seconds - 6, seconds - 1),
    ).fetchone()
    assert found
    return dict(zip(("first", "last", "backlog", "claims"), map(float, found), strict=True))


def probe(db: psycopg.Connection) -> dict[str, float]:
    """Milliseconds of "has this job a ready range?" with none left, from the head and a floor."""
    db.execute("DELETE FROM joblot_range")
    near_the_end = "(SELECT last_value - 100 FROM joblot_range_id_seq)"
    times = {}
    for name, floor in (("probe_head", 0), ("probe_head_again", 0), ("probe_floor", near_the_end)):
        plan = db.execute(f"""EXPLAIN (ANALYZE, FORMAT JSON) SELECT EXISTS (SELECT FROM joblot_range
          WHERE job_id = 1 AND stage = 1 AND id > {floor} ORDER BY id)""").fetchone()  # fmt: skip
        assert plan
        times[name] = plan[0][0]["Execution Time"]
    return times


def main() -> None:
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--part", choices=("big", "small"), default="big")
    parser.add_argument("--snapshot", action="store_true", help="hold one old snapshot open")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=2000, help="small ranges produced per second")
    parser.add_argument("--only")
    args = parser.parse_args()
    variants = BIG if args.part == "big" else SMALL
    names = args.only.split(",") if args.only else list(variants)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(args.rounds):
        for name, rounds in runs.items():
            run = measure(args.dsn, variants[name], args.seconds, args.snapshot, args.rate)
            rounds.append(run)
            print("#", name, {key: round(value, 3) for key, value in run.items()}, flush=True)
    keys = list(next(iter(runs.values()))[0])
    print(f"| | | {' | '.join(keys)} |\n|---|---|{'---|' * len(keys)}")
    for name, rounds in runs.items():
        middle = (f"{median(run[key] for run in rounds):,.6g}" for key in keys)
        print(f"| {name} | {variants[name].what} | {' | '.join(middle)} |")


if __name__ == "__main__":
    main()

"""Write docs/explanation/sizing.md from bench/results: `python docs/make_sizing.py`.

Every figure of the page is measured by a benchmark, or calculated here from one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "bench/results"
PAGE = DOCS / "explanation/sizing.md"

DAY_SECONDS = 86_400
PEAK = 3  # the busiest hour, beside the mean of a day
KEPT_DAYS = 7
LOADS = {"10 million": 10_000_000, "100 million": 100_000_000, "a billion": 1_000_000_000}
BATCHES = (16, 256)
COMMITS = 2  # of a lease: its claim and its report

TEMPLATE = """# Sizing

What a machine carries, and what ten million and a billion items a day need. Measured figures
come from `bench/results`, all others are calculated from them by `docs/make_sizing.py`; a test
compares this page with it.

An *item* here has one stage, a key and a small output, and no hook. Add what your hook costs.
Two stages cost twice as much, except for the item's own row.

## What is measured

| one item of one stage | | from |
|---|---|---|
{measured}
Both processor times are those of workers that do nothing, in batches of 256, so they are what
joblot itself needs. Items that are claimed and reported one by one cost twice as much ([all
runs](peers.md#rates-and-cost)).

## What a load needs

The busiest hour is taken to have {peak} times the day's mean rate. Rows are kept for {kept}
days, and then [pruned](../how-to/remove-jobs.md).

| items a day | {loads} |
|---|{rules}|
{needed}
`cores` are those that must be free for joblot in the busiest hour. Commits are two for each
lease, so they depend on how many items a lease has; claims over HTTP that meet share one, which
is not counted here.

## Where the next limit is, and which lever moves it

{limits}

The test of a bigger setup is the same as that of a small one: [`joblot
certify`](../how-to/certify.md) on it.
"""

LIMITS = """\
1. **Commits.** A commit takes as long as the disk, or the replica, takes to confirm it: at
   {small:,} items a lease, a billion items a day is {commits_small:,} commits a second in the
   busiest hour, and at {large:,} it is {commits_large:,}. *Lever:* larger leases (`--batch`,
   `claim(limit=…)`) and reports that claim the next lease, one commit instead of two. It costs
   nothing, so move it first.
2. **Disk.** {disk_day:,.0f} GB a day at a billion items. *Lever:* keep jobs for fewer days; keep
   payloads small, and large outputs in files.
3. **WAL.** {wal:,.0f} MB a second in the busiest hour, which a replica and an archive have to
   take. *Lever:* `wal_compression`, `max_wal_size` large enough that a checkpoint is not due
   each minute.
4. **Removal.** Rows are removed one by one, and vacuumed. *Lever:* tables that are partitioned
   by job, whose partitions are dropped as a whole. joblot has no partitions today; every key
   contains the job, as partitions by job require.
5. **Cores of the database.** {server:.1f} for a billion items a day in the busiest hour, without
   the workers' own: less than one machine has. *Lever:* a ledger for each project
   (`JoblotRouter`, or servers of their own): jobs of different projects share nothing but the
   fair order of claims.
6. **Rows.** A row for each outcome can be asked for by key, state and cause. Rows for blocks of
   64 to 256 items would take a fraction of the bytes and of the processor time, and joblot does
   not have them: it would be another trade, and [decision
   1](../decisions/0001-the-outcome-row-is-the-settlement.md) says why it was not made."""


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def run(peer: str, variant: str) -> dict[str, Any]:
    """A run without a kill, of the comparison with other frameworks."""
    runs = result("peers")["measured"]["runs"]
    (found,) = (
        one for one in runs if (one["peer"], one["variant"], one["kind"]) == (peer, variant, "run")
    )
    return dict(found)


def disk_bytes() -> float:
    figures = result("growth_postgres")["figures"]
    (found,) = (
        one["value"] for one in figures if one["figure"].endswith("bytes on disk per settled item")
    )
    return float(found)


TUNED, HTTP = run("joblot", "tuned, 256 a batch"), run("joblot-http", "tuned, 256 a batch")


def server_ms(one: dict[str, Any]) -> float:
    """The database's share of the processor time."""
    return float(one["CPU ms/item"] - one["client CPU ms/item"])


def measured() -> str:
    rows = [
        (
            "processor time, `joblot run`, client and database",
            f"{TUNED['CPU ms/item']:.2f} ms",
            "peers",
        ),
        ("of which the database", f"{server_ms(TUNED):.2f} ms", "peers"),
        (
            "processor time over HTTP: client, server, database",
            f"{HTTP['CPU ms/item']:.2f} ms",
            "peers",
        ),
        ("WAL", f"{TUNED['WAL bytes/item']} bytes", "peers"),
        ("disk, a million items in one job", f"{disk_bytes():.0f} bytes", "growth_postgres"),
    ]
    return "".join(f"| {what} | {value} | `{file}.json` |\n" for what, value, file in rows)


def peak_rate(items: int) -> float:
    """Items a second in the busiest hour."""
    return items / DAY_SECONDS * PEAK


def commits(items: int, batch: int) -> int:
    return round(peak_rate(items) * COMMITS / batch)


def needed() -> str:
    rows: dict[str, list[str]] = {
        "items a second, mean": [f"{n / DAY_SECONDS:,.0f}" for n in LOADS.values()],
        "items a second, busiest hour": [f"{peak_rate(n):,.0f}" for n in LOADS.values()],
        "cores, called directly": [cores(TUNED["CPU ms/item"], n) for n in LOADS.values()],
        "cores, of the database": [cores(server_ms(TUNED), n) for n in LOADS.values()],
        "cores, over HTTP": [cores(HTTP["CPU ms/item"], n) for n in LOADS.values()],
        "WAL, busiest hour, MB/s": [
            f"{peak_rate(n) * TUNED['WAL bytes/item'] / 1e6:.1f}" for n in LOADS.values()
        ],
        "WAL a day, GB": [f"{n * TUNED['WAL bytes/item'] / 1e9:,.0f}" for n in LOADS.values()],
        f"disk for {KEPT_DAYS} days, GB": [
            f"{n * KEPT_DAYS * disk_bytes() / 1e9:,.0f}" for n in LOADS.values()
        ],
    }
    for batch in BATCHES:
        rows[f"commits/s, busiest hour, {batch} items a lease"] = [
            f"{commits(n, batch):,}" for n in LOADS.values()
        ]
    return "".join(f"| {what} | {' | '.join(cells)} |\n" for what, cells in rows.items())


def cores(milliseconds: float, items: int) -> str:
    return f"{peak_rate(items) * milliseconds / 1000:.2f}"


def page() -> str:
    most = max(LOADS.values())
    small, large = BATCHES
    limits = LIMITS.format(
        small=small,
        large=large,
        commits_small=commits(most, small),
        commits_large=commits(most, large),
        disk_day=most * disk_bytes() / 1e9,
        wal=peak_rate(most) * TUNED["WAL bytes/item"] / 1e6,
        server=peak_rate(most) * server_ms(TUNED) / 1000,
    )
    return TEMPLATE.format(
        measured=measured(),
        needed=needed(),
        peak=PEAK,
        kept=KEPT_DAYS,
        loads=" | ".join(LOADS),
        rules="|".join("---" for _ in LOADS),
        limits=limits,
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

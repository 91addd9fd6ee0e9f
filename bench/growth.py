"""Does anything cost more in a larger job? From a thousand items to a million, or more.

    python bench/growth.py [--db sqlite] [--items 1000 10000 100000 1000000] [--add]

Each size is a process and a database of its own, from submission to removal (growth_steps.py). The
small ones are measured several times. `--add` keeps the sizes that an earlier run has measured, for
one that takes an hour: `--items 10000000 --add`. What a call costs is compared beside `SELECT 1` of
the same process. growth_charts.py draws the charts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import RESULTS, Figure, figure, write

from joblot.testing.postgres import PostgresServer

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = {1_000: 5, 10_000: 3}  # of larger ones, 1
BARE_MAX = 1_000_000  # items of the bare COPY and inserts
MILLION = 1_000_000  # the size that is compared with the smallest
ONE_BY_ONE = 0.77  # a rate at the end / at the beginning
Json = dict[str, Any]
Measured = dict[int, list[Json]]  # by size, one per round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="postgres")
    parser.add_argument("--items", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--add", action="store_true", help="keep the sizes measured before")
    asked = parser.parse_args()
    measured = known(asked.db) if asked.add else {}
    measured |= _measure(asked.db, asked.items)
    ordered = {str(size): measured[size] for size in sorted(measured)}
    write(f"growth_{asked.db}", list(_figures(asked.db, measured)), {"by items": ordered})


def known(db: str) -> Measured:
    path = RESULTS / f"growth_{db}.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text())["measured"]["by items"]
    return {int(size): rounds for size, rounds in found.items()}


def _measure(db: str, sizes: list[int]) -> Measured:
    found: Measured = {size: [] for size in sizes}
    with _databases(db) as new:
        for round_ in range(max((ROUNDS.get(size, 1) for size in sizes), default=0)):
            for size in sizes:
                if round_ < ROUNDS.get(size, 1):
                    bare = db == "postgres" and size <= BARE_MAX
                    found[size].append(_one(new(f"b{size}_{round_}"), size, bare=bare))
                    print(
                        f"round {round_}, {size:,} items: {found[size][-1]['cpu_us']}", flush=True
                    )
    return found


@contextmanager
def _databases(db: str) -> Iterator[Callable[[str], str]]:
    if db == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield lambda name: f"sqlite:///{Path(folder) / name}.sqlite3"
    else:
        with PostgresServer() as server:
            yield server.create_database


def _one(url: str, size: int, *, bare: bool) -> Json:
    command = [sys.executable, Path(__file__).with_name("growth_steps.py"), url, str(size)]
    done = subprocess.run(
        [*command, *(["--bare"] if bare else [])], stdout=subprocess.PIPE, check=True
    )
    return {
        part: {name: round(x, 3) for name, x in values.items()}
        if isinstance(values, dict)
        else values
        for part, values in json.loads(done.stdout).items()
    }


def _figures(db: str, measured: Measured) -> Iterator[Figure]:
    small = min(measured)
    top = MILLION if MILLION in measured else max(measured)
    sizes = sorted({top, max(measured)} - {small})
    for size in sizes:
        beside = f"{db}: {{}}, {size:,} items / {small:,}"
        yield from _per_item(beside, measured[size], measured[small])
        yield from _per_call(beside, measured[size], measured[small])
    yield from _readers(db, measured[top], top)
    yield from _space(db, measured[top], top)


def _per_item(beside: str, large: list[Json], small: list[Json]) -> Iterator[Figure]:
    for name in ("submit", "claim", "report, second half", "removal"):
        label = f"CPU of an item, {name.partition(',')[0]}"
        yield figure(beside.format(label), _ratios("cpu_us", name, large, small), "<= 1.3")
    for name in large[0]["mib"]:
        label = f"memory of the {name}"
        yield figure(beside.format(label), _ratios("mib", name, large, small), "<= 1.3")


def _per_call(beside: str, large: list[Json], small: list[Json]) -> Iterator[Figure]:
    """Each call beside `SELECT 1`, because the machine's load changes between the sizes."""
    musts = {
        "progress": "<= 1.3",
        "sweep": "<= 1.3",
        "first page of failed items": "<= 1.3",
        "last page of failed items": "<= 1.3",
        "cancel": "<= 1.5",
        "delete": "<= 1.5",
    }
    for name, must in musts.items():
        ratios = _ratios("ms", name, large, small, beside="SELECT 1")
        yield figure(beside.format(f"CPU of {name}"), ratios, must)


def _ratios(
    part: str, name: str, large: list[Json], small: list[Json], beside: str | None = None
) -> list[float]:
    """Each large job beside the median of the small ones."""

    def value(one: Json) -> float:
        return float(one[part][name] / (one[part][beside] if beside else 1))

    base = statistics.median(map(value, small))
    return [value(one) / base for one in large]


def _readers(db: str, rounds: list[Json], size: int) -> Iterator[Figure]:
    def all_of(part: str, name: str) -> list[float]:
        return [one[part][name] for one in rounds]

    of = f"{db}, {size:,} items: "
    yield figure(
        of + "progress, CPU / SELECT 1 through Django",
        all_of("ratios", "progress / SELECT 1"),
        "<= 10",
    )
    yield figure(
        of + "statements of a page of 50 jobs", all_of("statements", "page of 50 jobs"), "<= 3"
    )
    tenths = [1 / one for one in all_of("ratios", "claim, last tenth / first tenth")]
    yield figure(of + "claims per CPU second, last tenth / first tenth", tenths, f">= {ONE_BY_ONE}")


def _space(db: str, rounds: list[Json], size: int) -> Iterator[Figure]:
    of = f"{db}, {size:,} items: "
    yield figure(of + "bytes on disk per settled item", [bytes_of(one) for one in rounds], "<= 200")
    if db == "postgres":
        bare = [bytes_of(one) / bytes_of(one, "bare_") for one in rounds]
        yield figure(of + "bytes on disk / of the bare rows", bare, "<= 1.6")
        wal = [one["wal"]["joblot"] / one["wal"]["COPY + bare insert"] for one in rounds]
        yield figure(of + "WAL of an item / (COPY + bare insert)", wal, "<= 1.6")
        copy = [one["cpu_us"]["submit"] / one["cpu_us"]["raw COPY"] for one in rounds]
        yield figure(of + "submit / raw COPY of the same dicts, CPU", copy, "<= 2.5")


def bytes_of(one: Json, tables: str = "") -> float:
    """Per item: of joblot's tables, or of those whose name begins so."""
    return sum(
        size
        for table, size in one["bytes"].items()
        if (table.startswith(tables) if tables else not table.startswith("bare_"))
    )


if __name__ == "__main__":
    main()

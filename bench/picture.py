"""What does the picture of all items cost, and how else could the items be read?

    python bench/picture.py [--db postgres] [--items 1000000] [--rounds 3]

The job is in the middle of its work: 62 % of the items are settled, one in 200 of them failed. The
other ways to read take turns with ours within each round: a row per item, and one text of all
states in the order of the items, from which gaps can't be told. What a browser needs to draw it is
measured by tests/web/test_map_of_a_million.py.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

NUMBERS = {
    "postgresql": "SELECT generate_series(0, {0} - 1) AS n",
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {0} - 1) "
    "SELECT n FROM c",
}
TEXT = {
    "postgresql": "string_agg(state::text, '' ORDER BY number)",
    "sqlite": "group_concat(state, '')",
}
ROWS = "SELECT number, state FROM joblot_outcome WHERE job_id = %s AND stage = 0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with _database(asked.db):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        _measure(asked.db, asked.items, asked.rounds, _job(asked.items))


@contextmanager
def _database(db: str) -> Iterator[None]:
    if db == "postgres":
        with PostgresServer() as server:
            standalone.setup(server.create_database("bench"))
            yield
    else:
        with tempfile.TemporaryDirectory() as folder:
            standalone.setup(path=Path(folder) / "bench.sqlite3")
            yield


def _job(items: int) -> int:
    from django.db import connection

    from joblot import submit

    job = submit("picture", (), pipeline="p", seal=False).pk
    numbers = NUMBERS[connection.vendor].format(items)
    state = "CASE WHEN (CAST(n AS bigint) * 7919) % 104729 % 200 = 7 THEN 2 ELSE 1 END"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO joblot_item (job_id, number, key, payload) "
            f"SELECT {job}, n, 'image-' || n, '{{}}' FROM ({numbers}) s"
        )
        cursor.execute(
            "INSERT INTO joblot_outcome (job_id, stage, number, run, state, output, settled_at) "
            f"SELECT {job}, 0, n, 1, {state}, '{{\"label\": 7}}', CURRENT_TIMESTAMP "
            f"FROM ({numbers}) s WHERE n < {items * 62 // 100}"
        )
        cursor.execute(
            f"UPDATE joblot_job SET total = {items}, version = version + 1 WHERE id = {job}"
        )
        cursor.execute("ANALYZE")
    return int(job)


def _measure(db: str, items: int, rounds: int, job: int) -> None:
    from joblot.ledger.read.picture import picture
    from joblot.ledger.read.picture_format import changes, whole

    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        first = _timed(took, "first picture", lambda: picture(job))
        _timed(took, "next picture", lambda first=first: picture(job, known=first))
        _timed(took, "a row per item", lambda: _rows(job, items))
        _timed(took, "one text of states", lambda: _text(job))
        body = _timed(took, "its bytes", lambda first=first: whole(first))
        _timed(took, "changes", lambda first=first: changes(first, first, 20_000))
    size = f"{db}, {items:,} items: "
    figures = [
        figure(size + "a picture / reading a row per item", _ratio(took, "a row per item"), "<= 1"),
        figure(size + "a picture / one text of states", _ratio(took, "one text of states"), "<= 3"),
        figure(size + "the next picture / the first", _ratio(took, "next picture", True), "<= 0.5"),
        figure(size + "bytes / item", [len(body) / items], "<= 0.4"),
    ]
    median = {name: round(statistics.median(seconds) * 1_000) for name, seconds in took.items()}
    write(f"picture_{db}", figures, {"items": items, "bytes": len(body), "ms": median})
    print(f"{len(body):,} bytes; medians in ms: {median}")


def _ratio(took: dict[str, list[float]], other: str, turned: bool = False) -> list[float]:
    ratios = [a / b for a, b in zip(took["first picture"], took[other], strict=True)]
    return [1 / one for one in ratios] if turned else ratios


def _timed(took: dict[str, list[float]], name: str, act: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = act()
    took.setdefault(name, []).append(time.perf_counter() - began)
    return result


def _rows(job: int, items: int) -> bytearray:
    from django.db import connection

    cells = bytearray(items)
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [job])
        for number, state in cursor.fetchall():
            cells[number] = state
    return cells


def _text(job: int) -> str:
    from django.db import connection

    ordered = f"SELECT {TEXT[connection.vendor]} FROM ({ROWS} ORDER BY number) s"
    with connection.cursor() as cursor:
        cursor.execute(ordered, [job])
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    main()

"""Does anything cost more in a large job? Progress, reports, and submitting.

    python bench/progress.py [--items 200000] [--rounds 5]

Small and large jobs alternate within each round. Submitting is compared to a bare COPY of the same
rows into a table of the same shape, and its memory to that for a tenth of the items.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from figures import Figure, figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
SMALL = 1_000
READS = 100  # per round
REPORTS = 10  # per round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE raw (LIKE joblot_item INCLUDING ALL)")
        figures = [
            *_submitting(asked.items, asked.rounds),
            _memory(asked.items),
            *_reading_and_reporting(asked.items, asked.rounds),
        ]
    write("progress", figures, {"items": asked.items, "small": SMALL})


def _items(count: int) -> Iterator[dict[str, Any]]:
    return ({"key": f"image-{n}", "payload": {"path": f"images/{n}.png"}} for n in range(count))


def _submitting(items: int, rounds: int) -> list[Figure]:
    from joblot import submit

    ratios = []
    for round_ in range(rounds):
        name = f"round {round_}"
        submitted = _seconds(lambda name=name: submit(name, _items(items), pipeline="unused"))
        ratios.append(submitted / _seconds(lambda: _copy(items)))
    return [figure(f"submit of {items:,} items / raw COPY", ratios, "<= 2.5")]


def _copy(items: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE raw")
        with cursor.copy("COPY raw (job_id, number, key, payload) FROM STDIN") as copy:
            for n in range(items):
                copy.write_row((1, n, f"image-{n}", f'{{"path": "images/{n}.png"}}'))


def _memory(items: int) -> Figure:
    from joblot import submit

    def peak(count: int) -> int:
        tracemalloc.start()
        submit("memory", _items(count), pipeline="unused")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    ratio = peak(items) / peak(items // 10)
    return figure(f"memory to submit {items:,} items / {items // 10:,}", [ratio], "<= 1.3")


def _reading_and_reporting(items: int, rounds: int) -> list[Figure]:
    from joblot import progress, report, submit
    from joblot.wire import success

    small = submit("small", _items(SMALL), pipeline="small").pk
    large = submit("large", _items(items), pipeline="large").pk
    leases = {job: _claimed(job, rounds * REPORTS) for job in (small, large)}

    def report_next(job: int) -> None:
        lease = leases[job].pop()
        report(lease.token, [success(item.id, {"label": 1}) for item in lease.items])

    reports, reads = [], []
    for _ in range(rounds):
        reports.append(_median(report_next, large, REPORTS) / _median(report_next, small, REPORTS))
        reads.append(_median(progress, large, READS) / _median(progress, small, READS))
    size = f"{items:,} items / of {SMALL:,}"
    return [
        figure(f"progress of a job of {size}", reads, "<= 1.3"),
        figure(f"a report to a job of {size}", reports, "<= 1.3"),
    ]


def _claimed(job: int, leases: int) -> list[Any]:
    from joblot import claim

    return [claim(["small", "large"], BATCH, job=job).leases[0] for _ in range(leases)]


def _median(act: Callable[[int], object], job: int, times: int) -> float:
    return statistics.median(_seconds(lambda: act(job)) for _ in range(times))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

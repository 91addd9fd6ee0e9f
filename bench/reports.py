"""What a report costs, in processor time of client and server, beside its limits.

    python bench/reports.py [--rounds 5] [--sizes 16 64 256]

One connection, so that nothing waits for anything. In each round all candidates take turns in a new
order, and each figure is a ratio within a round. *Bare* inserts rows of the same shape through the
same driver, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from figures import figure, write
from granted import granted, migrate

from joblot import standalone
from joblot.testing.postgres import PostgresServer

ACTS = 300  # of a candidate in a round, with 16 results each
WARM = 30
HOOKED = 16  # results of a report with a hook

Act = Callable[[], Any]
OWN, OTHER = "hooked", "another"  # pipelines

INSERT = """
INSERT INTO bare (job_id, stage, number, run, state, hash, output, lease_token, settled_at)
SELECT 1, 0, p.number, 1, 1, decode(p.hash, 'hex'), p.output, %(token)s::uuid, statement_timestamp()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (number int, hash text, output jsonb)
"""
SAVE = "INSERT INTO saved (key, label) SELECT * FROM unnest(%s::text[], %s::int[])"


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one act."""

    client: float
    server: float

    @property
    def total(self) -> float:
        return self.client + self.server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64, 256])
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        _set_up()
        measured = _measure(asked.rounds, asked.sizes)
    _tell(measured, asked.sizes)


def _set_up() -> None:
    from django.db import connection

    migrate()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (LIKE joblot_outcome INCLUDING ALL)")
        cursor.execute("CREATE TABLE saved (key text PRIMARY KEY, label int)")


def _measure(rounds: int, sizes: list[int]) -> dict[str, list[Cost]]:
    candidates: dict[str, Callable[[int], Act]] = {"SELECT 1": lambda acts: _select}
    for size in sizes:
        candidates[f"bare insert of {size}"] = lambda acts, size=size: _inserter(size)
        candidates[f"report of {size}"] = lambda acts, size=size: _reporter("p", size, acts)
    candidates["report with a hook"] = lambda acts: _hooked(OWN, acts)
    candidates["report, hook on another pipeline"] = lambda acts: _hooked(OTHER, acts)
    candidates["the hook's insert"] = lambda acts: _saver()
    costs: dict[str, list[Cost]] = {name: [] for name in candidates}
    for round_ in range(rounds):
        for name in random.sample(list(candidates), len(candidates)):
            costs[name].append(_cost(candidates[name]))
            last = costs[name][-1]
            print(
                f"{round_} {name}: {last.client:.3f} + {last.server:.3f} = {last.total:.3f} ms",
                flush=True,
            )
    return costs


def _cost(prepare: Callable[[int], Act]) -> Cost:
    from django.db import connection

    from joblot.ledger.report import hooks

    act = prepare(ACTS + WARM)
    for _ in range(WARM):
        act()
    backend = psutil.Process(connection.connection.info.backend_pid)
    began, server = time.process_time(), _used(backend)
    for _ in range(ACTS):
        act()
    client, server = time.process_time() - began, _used(backend) - server
    hooks._on_result.clear()  # noqa: SLF001 (there is no other way to unregister one)
    return Cost(1e3 * client / ACTS, 1e3 * server / ACTS)


def _used(process: psutil.Process) -> float:
    """Seconds of processor time, more precise than psutil where the kernel says so."""
    try:
        text = Path(f"/proc/{process.pid}/schedstat").read_text(encoding="ascii")
        return int(text.split()[0]) / 1e9
    except OSError:
        times = process.cpu_times()
        return float(times.user + times.system)


def _select() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _inserter(size: int) -> Act:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
    token, numbers = uuid4(), count()

    def act() -> None:
        batch = [
            {"number": next(numbers), "hash": "00" * 32, "output": {"label": n}}
            for n in range(size)
        ]
        with connection.cursor() as cursor:
            cursor.execute(INSERT, {"rows": json.dumps(batch), "token": token})

    return act


def _reporter(pipeline: str, size: int, acts: int) -> Act:
    from joblot import report
    from joblot.wire import success

    leases = iter(granted(pipeline, size, acts))

    def act() -> None:
        token, first = next(leases)
        receipts = report(token, [success(first + n, {"label": n}) for n in range(size)])
        assert all(one.receipt == "counted" for one in receipts)

    return act


def _hooked(pipeline: str, acts: int) -> Act:
    from django.db import connection

    from joblot import on_result

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE saved")

    @on_result(OWN)
    def save(results: Any) -> None:
        with connection.cursor() as cursor:
            keys = [one.key for one in results]
            cursor.execute(SAVE, [keys, [one.output["label"] for one in results]])

    return _reporter(pipeline, HOOKED, acts)


def _saver() -> Act:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE saved")
    numbers = count()

    def act() -> None:
        with connection.cursor() as cursor:
            keys = [str(next(numbers)) for _ in range(HOOKED)]
            cursor.execute(SAVE, [keys, list(range(HOOKED))])

    return act


def _tell(costs: dict[str, list[Cost]], sizes: list[int]) -> None:
    def ratios(of: str, *to: str) -> list[float]:
        return [
            one.total / sum(limit.total for limit in limits)
            for one, *limits in zip(costs[of], *(costs[name] for name in to), strict=True)
        ]

    plain = f"report of {HOOKED}"
    figures = [
        figure(
            f"report / bare insert, {n} a batch, CPU",
            ratios(f"report of {n}", f"bare insert of {n}"),
            "<= 1.8",
        )
        for n in sizes
    ]
    figures += [
        figure(
            "report with a hook / (plain report + its insert), CPU",
            ratios("report with a hook", plain, "the hook's insert"),
            "<= 1.3",
        ),
        figure(
            "report while a hook exists on another pipeline / plain report, CPU",
            ratios("report, hook on another pipeline", plain),
            "<= 1.05",
        ),
    ]
    measured = {
        name: [[round(c.client, 3), round(c.server, 3)] for c in all_]
        for name, all_ in costs.items()
    }
    write("reports", figures, {"client + server, ms": measured})


if __name__ == "__main__":
    main()

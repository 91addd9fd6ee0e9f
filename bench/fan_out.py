"""What does a fan-out cost beside a plain group of Celery?

    python bench/fan_out.py [--items 1000] [--rounds 5] [--processes 2]

Both have the same broker (Redis), the same worker, and tasks that do nothing. A group ends when all
results are read from the result back-end, a fan-out when its job has ended in the ledger, which is
PostgreSQL.
Processor time is that of all processes: client, workers, Redis, PostgreSQL.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from figures import figure, write

from joblot.testing.postgres import PostgresServer

HERE = Path(__file__).parent
SECONDS_MAX = 120.0
Call = Callable[[int], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    with PostgresServer() as server, _redis() as (broker, redis):
        os.environ["JOBLOT_DATABASE_URL"] = server.create_database("bench")
        os.environ["BENCH_BROKER"] = broker
        import fan_out_app
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        connection.ensure_connection()
        postgres = psutil.Process(connection.connection.info.backend_pid).parent()
        assert postgres is not None
        with _worker(asked.processes) as worker:
            used = _Used([redis, worker, postgres])
            calls: dict[str, Call] = {"group": _group, "fan_out": _fan_out}
            rounds = [_round(calls, used, asked.items) for _ in range(asked.rounds + 1)]
        fan_out_app.app.close()
    del rounds[0]  # it warms up

    def ratios(what: str) -> list[float]:
        return [one[f"fan_out, {what}"] / one[f"group, {what}"] for one in rounds]

    write(
        "fan_out",
        [
            figure("items a second, fan_out / group", ratios("items a second"), ">= 0.2"),
            figure("CPU an item, fan_out / group", ratios("CPU milliseconds an item"), "<= 4"),
        ],
        {
            "celery": version("celery"),
            "rounds": [{name: round(value, 3) for name, value in one.items()} for one in rounds],
        },
    )


def _round(calls: dict[str, Call], used: _Used, items: int) -> dict[str, float]:
    found = {}
    for name in random.sample(list(calls), len(calls)):
        before, began = used.seconds(), time.perf_counter()
        calls[name](items)
        took, cpu = time.perf_counter() - began, used.seconds() - before
        found[f"{name}, items a second"] = items / took
        found[f"{name}, CPU milliseconds an item"] = 1e3 * cpu / items
    return found


def _group(items: int) -> None:
    from celery import group
    from fan_out_app import alone

    results = group(alone.s(n) for n in range(items)).apply_async().join(timeout=SECONDS_MAX)
    assert results == [n * n for n in range(items)]


def _fan_out(items: int) -> None:
    from fan_out_app import member

    from joblot import progress
    from joblot.contrib.celery import fan_out

    job = fan_out(member, ({"key": str(n), "payload": n} for n in range(items)))
    until = time.monotonic() + SECONDS_MAX
    while (found := progress(job.pk))["finished_at"] is None:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    assert found["stages"][0]["succeeded"] == items


@dataclass
class _Used:
    """Processor seconds of this process, and of others with all of their children."""

    others: list[psutil.Process]

    def seconds(self) -> float:
        return time.process_time() + sum(
            sum(one.cpu_times()[:2])
            for other in self.others
            for one in (other, *other.children(recursive=True))
        )


@contextmanager
def _redis() -> Iterator[tuple[str, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="joblot-bench-") as folder:
        options = ["--dir", folder, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with _ended(["redis-server", *options]) as process:
            yield f"redis://127.0.0.1:{port}", process


@contextmanager
def _worker(processes: int) -> Iterator[psutil.Process]:
    options = ["-A", "fan_out_app", "worker", "--concurrency", str(processes), "-l", "ERROR"]
    with _ended([sys.executable, "-m", "celery", *options]) as process:
        from fan_out_app import app

        until = time.monotonic() + SECONDS_MAX
        while not app.control.ping(timeout=0.5):
            assert time.monotonic() < until, "the worker does not answer"
        yield process


@contextmanager
def _ended(command: list[str]) -> Iterator[psutil.Process]:
    """Run it inside the block, without its output."""
    options: dict[str, Any] = {"cwd": HERE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, **options) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()

"""What open pages cost: the rate of results while many viewers follow the job, and with none.

    python bench/viewers.py [--rounds 5] [--seconds 5] [--viewers 200]

Reports of 16 results on 32 connections to one job, alternating between turns with and without
viewers, each of which holds a live stream of that job from another process. Beside the rate: the
CPU time of the server and of PostgreSQL per report, which depends less on what else the machine
does; and what the viewers cost while nobody reports.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients import http_storm
from figures import figure, write
from hot_job import _migrate
from over_http import _allow_files, _queues
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

TURNS = ("watched", "alone")
REPORTS = "/api/v1/results"
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--viewers", type=int, default=200)
    asked = parser.parse_args()
    _allow_files(asked.viewers + 200)
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        _migrate()
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        with served(url) as (port, pid):
            measured = _measure(port, (pid, postmaster), token, asked)
    _tell(measured, asked.viewers)


def _measure(
    port: int, pids: tuple[int, int], token: str, asked
) -> dict[str, dict[str, list[float]]]:
    found = {turn: {"reports/s": [], "cpu ms/report": [], "idle cpu share": []} for turn in TURNS}
    for round_ in range(asked.rounds + 1):
        for turn in TURNS[:: -1 if round_ % 2 else 1]:
            queues = _queues(token, REPORTS)
            with _viewers(port, token, asked.viewers if turn == "watched" else 0):
                idle = _cpu_share(pids, asked.seconds / 2)
                before = _cpu(pids)
                storm = http_storm(port, queues, asked.seconds)
                each = (_cpu(pids) - before) / storm.acts * 1000
            values = zip(found[turn], (storm.rate, each, idle), strict=True)
            for name, value in values:
                if round_:  # the first only warms up
                    found[turn][name].append(value)
            print(
                f"round {round_} {turn}: {storm.rate:.0f} reports/s, {each:.2f} ms CPU each, "
                f"{idle:.1%} of a core at rest",
                flush=True,
            )
    return found


@contextmanager
def _viewers(port: int, token: str, count: int) -> Iterator[None]:
    """Viewers of the newest job, in a process of their own, each with its first snapshot."""
    if not count:
        yield
        return
    from joblot.models import Job

    job = Job.objects.latest("pk").pk
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    child = fork.Process(
        target=lambda: asyncio.run(_watch(port, token, job, count, ready)), daemon=True
    )
    child.start()
    assert ready.wait(60), "the viewers get no snapshots"
    yield
    child.terminate()
    child.join()


async def _watch(port: int, token: str, job: int, count: int, ready: Any) -> None:
    connecting = asyncio.Semaphore(20)
    asking = (
        f"GET /api/v1/jobs/{job}/live HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()

    async def view(has_begun: asyncio.Event) -> None:
        async with connecting:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(asking)
            await reader.readuntil(b"data: ")
        has_begun.set()
        while await reader.read(65_536):
            pass
        raise SystemExit("a stream ended")

    begun = [asyncio.Event() for _ in range(count)]
    tasks = [asyncio.create_task(view(one)) for one in begun]
    await asyncio.gather(*(one.wait() for one in begun))
    ready.set()
    await asyncio.gather(*tasks)


def _cpu_share(pids: tuple[int, int], seconds: float) -> float:
    before, began = _cpu(pids), time.monotonic()
    time.sleep(seconds)
    return (_cpu(pids) - before) / (time.monotonic() - began)


def _cpu(pids: tuple[int, int]) -> float:
    """Seconds of CPU time so far: of these processes and their children."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = path.read_text().rpartition(") ")
        except OSError:  # it has just ended
            continue
        fields = rest.split()
        if {int(head.split(" ", 1)[0]), int(fields[1])} & set(pids):
            ticks += sum(map(int, fields[11:15]))  # also of children that have ended
    return ticks / TICK


def _tell(found: dict[str, dict[str, list[float]]], viewers: int) -> None:
    def ratios(name: str) -> list[float]:
        return [w / a for w, a in zip(found["watched"][name], found["alone"][name], strict=True)]

    figures = [
        figure(f"results/s, {viewers} viewers / none", ratios("reports/s"), ">= 0.95"),
        figure(f"CPU per report, {viewers} viewers / none", ratios("cpu ms/report"), "<= 1.05"),
    ]
    write("viewers", figures, found)


if __name__ == "__main__":
    main()

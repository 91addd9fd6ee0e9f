"""What HTTP costs: reports over it, waiting workers, and how soon a waiting worker gets work.

    python bench/over_http.py [--rounds 5] [--seconds 3] [--waiting 1000]

Reports of 16 results on 32 connections, compared to an endpoint of the same server that reads and
responds but records nothing; the same while `--waiting` workers idle in a long poll; the time from
a job's submission to its claim by a waiting worker; the server's memory per waiting worker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import time
from pathlib import Path

from clients import answer_of, http_storm, request
from figures import figure, write
from granted import BATCH, granted, migrate
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

WAITED_JOBS = 400
CONNECTIONS = 32
REPORTS_EACH = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--waiting", type=int, default=1_000)
    asked = parser.parse_args()
    _allow_files(asked.waiting * 2 + 200)
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        migrate()
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        with served(url) as (port, pid):
            rates, p99 = _reports(port, token, asked.rounds, asked.seconds)
            idle = asyncio.run(_with_waiters(port, pid, token, asked))
            waits = asyncio.run(_claim_latencies(port, token))
    _tell(rates, p99, idle, waits)


def _allow_files(files: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(files, 1_024), hard), hard))


def _queues(token: str, path: str) -> list[list[bytes]]:
    """Each connection's requests, for leases granted beforehand."""
    leases = granted("p", BATCH, CONNECTIONS * REPORTS_EACH)
    results = [{"outcome": "succeeded", "output": {"label": n}} for n in range(BATCH)]
    return [
        [
            request(
                path,
                {
                    "lease": str(lease),
                    "results": [{"item": first + n, **one} for n, one in enumerate(results)],
                },
                token,
            )
            for lease, first in leases[number::CONNECTIONS]
        ]
        for number in range(CONNECTIONS)
    ]


def _reports(
    port: int, token: str, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    paths = {"reports": "/api/v1/results", "no work": "/nothing"}
    rates: dict[str, list[float]] = {name: [] for name in paths}
    p99: dict[str, list[float]] = {name: [] for name in paths}
    for round_ in range(rounds + 1):
        for name in random.sample(list(paths), len(paths)):
            storm = http_storm(port, _queues(token, paths[name]), seconds)
            print(
                f"round {round_} {name}: {storm.rate:.0f} batches/s, p99 "
                f"{storm.percentile(0.99) * 1000:.0f} ms",
                flush=True,
            )
            if round_:  # the first only warms up
                rates[name].append(storm.rate)
                p99[name].append(storm.percentile(0.99))
    return rates, p99


async def _with_waiters(port: int, pid: int, token: str, asked) -> dict[str, list[float]]:
    """Reports with and without many waiters, in alternating order; a waiter's memory."""
    rates: dict[str, list[float]] = {"waited": [], "nobody waits": [], "kilobytes": []}

    async def waited() -> None:
        before = _resident_kb(pid)
        waiters = await _wait_all(port, token, asked.waiting)
        rates["kilobytes"].append((_resident_kb(pid) - before) / asked.waiting)
        rates["waited"].append(await _rate(port, token, asked.seconds))
        for task in waiters:
            task.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

    async def nobody_waits() -> None:
        rates["nobody waits"].append(await _rate(port, token, asked.seconds))

    for round_ in range(asked.rounds):
        turns = [waited, nobody_waits]
        for turn in turns[:: -1 if round_ % 2 else 1]:
            await turn()
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    return rates


async def _rate(port: int, token: str, seconds: float) -> float:
    queues = await asyncio.to_thread(_queues, token, "/api/v1/results")
    storm = await asyncio.to_thread(http_storm, port, queues, seconds)
    return storm.rate


async def _wait_all(port: int, token: str, workers: int) -> list[asyncio.Task[None]]:
    asking = request("/api/v1/claims", {"pipelines": ["idle"], "wait_seconds": 30}, token)
    connected = asyncio.Semaphore(50)

    async def wait_for_ever(started: asyncio.Event) -> None:
        async with connected:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started.set()
        try:
            while True:
                writer.write(asking)
                await answer_of(reader)
        finally:
            writer.close()

    events = [asyncio.Event() for _ in range(workers)]
    tasks = [asyncio.create_task(wait_for_ever(event)) for event in events]
    await asyncio.gather(*(event.wait() for event in events))
    await asyncio.sleep(3)  # until each has sent one request
    return tasks


async def _claim_latencies(port: int, token: str) -> list[float]:
    """Seconds from the end of a submission to the waiting worker's lease."""
    waits = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    producer, orders = await asyncio.open_connection("127.0.0.1", port)
    claim = request("/api/v1/claims", {"pipelines": ["wanted"], "wait_seconds": 30}, token)
    for number in range(WAITED_JOBS):
        writer.write(claim)
        await asyncio.sleep(random.uniform(0.05, 0.15))
        body = {"name": f"wanted {number}", "pipeline": "wanted", "items": ["one"]}
        orders.write(request("/api/v1/jobs", body, token))
        claimed = asyncio.create_task(_taken(reader))
        await _created(producer)
        submitted = time.monotonic()
        waits.append(max(0.0, await claimed - submitted))
    return waits


async def _taken(reader: asyncio.StreamReader) -> float:
    _, body = await answer_of(reader)
    at = time.monotonic()
    assert json.loads(body)["leases"], body
    return at


async def _created(reader: asyncio.StreamReader) -> None:
    status, body = await answer_of(reader)
    assert status == 201, body


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _tell(
    rates: dict[str, list[float]],
    p99: dict[str, list[float]],
    idle: dict[str, list[float]],
    waits: list[float],
) -> None:
    late = sorted(waits)
    percent99 = late[math.ceil(len(late) * 0.99) - 1] * 1000
    figures = [
        figure("report over HTTP / no work", _ratios(rates["reports"], rates["no work"]), ">= 0.7"),
        figure("p99 of a report / of no work", _ratios(p99["reports"], p99["no work"]), "<= 3"),
        figure(
            "reports while 1,000 wait / while none does",
            _ratios(idle["waited"], idle["nobody waits"]),
            ">= 0.9",
        ),
        figure("p99 from work to a waiting worker's lease, ms", [percent99], "<= 50"),
        figure("kilobytes per waiting worker", idle["kilobytes"], "<= 100"),
    ]
    measured = {
        "batches/s": rates,
        "p99 s": p99,
        "idle": idle,
        "waits s": {
            "p50": late[len(late) // 2],
            "p99": percent99 / 1000,
            "max": late[-1],
        },
    }
    write("over_http", figures, measured)


if __name__ == "__main__":
    main()

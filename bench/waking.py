"""What waiting for work costs, and how soon new work is claimed: notified, and by polling.

    python bench/waking.py [--rounds 3] [--seconds 4] [--items 100]

Two servers on one PostgreSQL differ only in their back-end: `BENCH_POLLING` makes one poll, as it
does where LISTEN can't work, and as it did before. Idle: transactions in the database, and the
processor time of the server and of PostgreSQL, a second, less those of the same server without
waiters. Latency: from the commit of a job of one item, by another process, to the answer of a claim
that has waited for it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
from clients import answer_of, request
from figures import Figure, figure, write
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

WAYS = {"notified": "", "polling": "1"}
WAITERS = (1, 32)
WAIT_SECONDS = 30
SETTLE_SECONDS = 1.0  # for the first claims to be answered with a wait
WAITING_SECONDS = 0.1  # for a claim to wait
PROMPT_MS = 50.0

Idle = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--items", type=int, default=100)
    asked = parser.parse_args()
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        idle: dict[str, list[Idle]] = {}
        latency: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(asked.rounds):
            for way, polls in WAYS.items():
                os.environ["BENCH_POLLING"] = polls
                with served(url) as (port, pid):
                    one = Measured(url, port, pid, _claim(token))
                    base = asyncio.run(one.idle(0, asked.seconds))
                    for waiters in WAITERS:
                        cost = asyncio.run(one.idle(waiters, asked.seconds))
                        less = {name: cost[name] - base[name] for name in cost}
                        idle.setdefault(f"{way}, {waiters}", []).append(less)
                        print(way, waiters, {name: round(v, 2) for name, v in less.items()})
                    asyncio.run(one.latencies(5))  # warms up
                    latency[way] += asyncio.run(one.latencies(asked.items))
    _tell(idle, latency)


def _claim(token: str) -> bytes:
    body = {"pipelines": ["p"], "limit": 1, "wait_seconds": WAIT_SECONDS}
    return request("/api/v1/claims", body, token)


@dataclass(frozen=True, slots=True)
class Measured:
    """A server, and the claim with which a client waits there."""

    url: str
    port: int
    pid: int
    claim: bytes

    async def idle(self, waiters: int, seconds: float) -> Idle:
        """What the database and the server do in a second in which nothing happens."""
        opened = [await asyncio.open_connection("127.0.0.1", self.port) for _ in range(waiters)]
        for _, writer in opened:
            writer.write(self.claim)
        await asyncio.sleep(SETTLE_SECONDS)
        began, before = time.monotonic(), self._spent()
        await asyncio.sleep(seconds)
        after, took = self._spent(), time.monotonic() - began
        for _, writer in opened:
            writer.close()
        return {name: (after[name] - before[name]) / took for name in after}

    async def latencies(self, items: int) -> list[float]:
        """Milliseconds from a commit to the answer that it wakes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = []
        for _ in range(items):
            writer.write(self.claim)
            await asyncio.sleep(WAITING_SECONDS)
            committed = await asyncio.to_thread(_submit)
            status, content = await answer_of(reader)
            found.append(1e3 * (time.monotonic() - committed))
            assert status == 200, content[:300]
            assert b'"token"' in content
        writer.close()
        return found

    def _spent(self) -> Idle:
        with psycopg.connect(self.url, autocommit=True) as direct:
            row = direct.execute(
                "SELECT xact_commit + xact_rollback FROM pg_stat_database "
                "WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        server = psutil.Process(self.pid).cpu_times()
        theirs = list(_postgres())
        return {
            "transactions": float(row[0]),
            "server_ms": 1e3 * (server.user + server.system),
            "database_ms": 1e3 * sum(one.user + one.system for one in theirs),
        }


def _postgres() -> Iterator[Any]:
    """The times of the processes of this bench's PostgreSQL."""
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if one.name() == "postgres":
                yield one.cpu_times()


def _submit() -> float:
    """Submit a job of one item; returns when the item was committed, or a little before."""
    from joblot.ledger.rows import wake
    from joblot.ledger.submit.submit import submit

    times: list[float] = []

    def deliver() -> None:
        times.append(time.monotonic())
        wake.send()

    with wake.delivered_by(deliver):
        submit("bench", ["only"], pipeline="p")
    return times[0]


def _tell(idle: dict[str, list[Idle]], latency: dict[str, list[float]]) -> None:
    medians = {
        name: {key: round(statistics.median(one[key] for one in costs), 2) for key in costs[0]}
        for name, costs in idle.items()
    }
    for name, costs in medians.items():
        print(f"idle, {name} waiters:", costs)
    spread = {way: _percentiles(found) for way, found in latency.items()}
    for way, found in spread.items():
        print(f"latency, {way}:", found)
    write("waking", _figures(idle, latency), {"idle a second": medians, "latency_ms": spread})


def _figures(idle: dict[str, list[Idle]], latency: dict[str, list[float]]) -> list[Figure]:
    ratios = [
        max(mine["transactions"], 0.0) / max(theirs["transactions"], 0.1)
        for mine, theirs in zip(idle["notified, 32"], idle["polling, 32"], strict=True)
    ]
    p99 = _percentiles(latency["notified"])["p99"]
    return [
        figure("transactions of 32 idle waiters, notified / polling", ratios, "<= 0.2"),
        figure("a waiting claim of new work, ms at p99", [p99], f"<= {PROMPT_MS:g}"),
    ]


def _percentiles(found: list[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(found, n=100)
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "of": len(found)}


if __name__ == "__main__":
    main()

"""What a lease costs that a waiting HTTP client is granted, when many wait for one job.

    python bench/waiting_claims.py [--rounds 5] [--clients 32 200]

In each round all clients claim with a long wait while there is no work; then a job is submitted
that has a lease for each of them. Counted is the processor time of the server and of PostgreSQL,
from the submission to the last answer.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import psutil
from clients import answer_of, request
from figures import figure, write
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
WAIT_SECONDS = 30
SETTLE_SECONDS = 1.0  # for the last client's first claim to be answered with a wait

Cost = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[32, 200])
    asked = parser.parse_args()
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        costs: dict[str, list[Cost]] = {}
        with served(url) as (port, pid):
            for _ in range(asked.rounds + 1):
                for clients in asked.clients:
                    cost = _cost(port, pid, token, clients)
                    costs.setdefault(f"{clients} clients", []).append(cost)
                    print(clients, {name: round(value, 3) for name, value in cost.items()})
    _tell({name: found[1:] for name, found in costs.items()})  # the first round warms up


def _cost(port: int, pid: int, token: str, clients: int) -> Cost:
    """Milliseconds for each lease."""
    from joblot import cancel, submit

    body = {"pipelines": ["p"], "limit": BATCH, "wait_seconds": WAIT_SECONDS}
    asked = request("/api/v1/claims", body, token)
    began: list[tuple[float, float, float]] = []
    jobs: list[int] = []

    def start() -> None:
        began.append((time.monotonic(), _server(pid), _database()))
        jobs.append(submit("bench", map(str, range(clients * BATCH)), pipeline="p").pk)

    asyncio.run(_waiting(port, asked, clients, start))
    ((at, server, database),) = began
    spent = (_server(pid) - server, _database() - database, time.monotonic() - at)
    cancel(jobs[0], grace_seconds=0)
    names = ("server", "database", "elapsed")
    return {name: 1e3 * one / clients for name, one in zip(names, spent, strict=True)}


async def _waiting(port: int, asked: bytes, clients: int, start: Callable[[], None]) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    for _, writer in opened:
        writer.write(asked)
    await asyncio.sleep(SETTLE_SECONDS + clients / 50)
    starting = asyncio.get_running_loop().run_in_executor(None, start)
    answers = await asyncio.gather(*(answer_of(reader) for reader, _ in opened))
    await starting
    assert all(status == 200 and b'"token"' in content for status, content in answers)
    for _, writer in opened:
        writer.close()


def _server(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _database() -> float:
    """Seconds of all processes of this bench's PostgreSQL."""
    found = (one for one in psutil.Process().children(recursive=True) if one.name() == "postgres")
    return sum(one.cpu_times().user + one.cpu_times().system for one in found)


def _tell(measured: dict[str, list[Cost]]) -> None:
    figures = [
        figure(
            f"a lease for each of {name}, ms of processor time",
            [one["server"] + one["database"] for one in costs],
            "<= 10",
        )
        for name, costs in measured.items()
    ]
    medians = {
        name: {key: round(statistics.median(one[key] for one in costs), 3) for key in costs[0]}
        for name, costs in measured.items()
    }
    print(medians)
    write("waiting_claims", figures, {"milliseconds a lease, by round": measured})


if __name__ == "__main__":
    main()

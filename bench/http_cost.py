"""What a request costs the server: processor time, beside that of a bare ASGI application.

    python bench/http_cost.py [--rounds 5] [--requests 1000]

One connection, each request after the previous response: an endpoint that reads a report of 16
results, checks the token and responds, but records nothing; a report; an empty claim. The ratio is
to a bare application of the same ASGI server that echoes the report. Rounds are shuffled. The
database's own processor time is not part of it.
"""

from __future__ import annotations

import argparse
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from clients import request
from figures import figure, write
from granted import BATCH, migrate
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

WARMUP = 50  # requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1_000)
    asked = parser.parse_args()
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        migrate()
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        with served(url) as (port, pid), _echoing() as (echo_port, echo_pid):
            servers = {"echo": (echo_port, echo_pid)}
            costs: dict[str, list[float]] = {}
            for _ in range(asked.rounds):
                requests = _requests(asked.requests + WARMUP, token)
                for name in random.sample(list(requests), len(requests)):
                    place, process = servers.get(name, (port, pid))
                    costs.setdefault(name, []).append(_cost(place, process, requests[name]))
                print({name: round(values[-1], 3) for name, values in costs.items()}, flush=True)
    # The echo takes so little that a single round's share of it is mostly the clock's resolution.
    echo = statistics.mean(costs["echo"])
    ratios = [cost / echo for cost in costs["no work"]]
    figures = [figure("CPU of no work over HTTP / of a bare ASGI echo", ratios, "<= 5")]
    write("http_cost", figures, {"CPU ms a request": costs})


def _requests(count: int, token: str) -> dict[str, list[bytes]]:
    """For each kind, the requests of one round. The reports are for leases granted now."""
    from joblot import claim, submit

    items = ({"key": f"k{n}"} for n in range(count * BATCH))
    job = submit("bench", items, pipeline="bench")
    reports = []
    for _ in range(count):
        (lease,) = claim("bench", limit=BATCH, job=job.pk).leases
        results = [
            {"item": item.id, "outcome": "succeeded", "output": {"label": item.id}}
            for item in lease.items
        ]
        reports.append({"lease": lease.token, "results": results})
    return {
        "echo": [request("/", reports[0], token)] * count,
        "no work": [request("/nothing", reports[0], token)] * count,
        "report": [request("/api/v1/results", report, token) for report in reports],
        "empty claim": [request("/api/v1/claims", {"pipelines": ["idle"]}, token)] * count,
    }


def _cost(port: int, pid: int, requests: Sequence[bytes]) -> float:
    """Milliseconds of the server's processor time per request."""
    process = psutil.Process(pid)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for one in requests[:WARMUP]:
            _answer(connection, one)
        before = process.cpu_times()
        for one in requests[WARMUP:]:
            _answer(connection, one)
        after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return 1_000 * used / len(requests[WARMUP:])


def _answer(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b" 200 " in head.partition(b"\r\n")[0], got
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65_536)


@contextmanager
def _echoing() -> Iterator[tuple[int, int]]:
    """Start the bare application; yields its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("echo.py")), str(port)]
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()

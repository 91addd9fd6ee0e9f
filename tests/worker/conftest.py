"""Workers in threads, on a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from joblot.cli.local_client import LocalClient
from joblot.identity.tokens import issue
from joblot.ledger.read.progress import progress
from joblot.states import TERMINAL
from joblot.worker import Client, Handler, HttpClient, Worker, WorkerSettings
from joblot.worker.function import Work
from tests.ledger.conftest import clock, configure, exact, own_hooks
from tests.polling import eventually
from tests.threads import Threads
from tests.worker.server import Server

__all__ = ["clock", "configure", "exact", "own_hooks"]

Working = Callable[..., Any]
MORE = ("on_frozen", "spool", "spools")


@pytest.fixture
def working(in_thread: Threads) -> Working:
    """`with working(work, …) as worker:` a worker of pipeline "p" that drains at the end."""

    @contextmanager
    def working(work: Work, *, client: Client | None = None, **settings: Any) -> Iterator[Worker]:
        more = {name: settings.pop(name) for name in MORE if name in settings}
        serving = Handler("p", work, settings.pop("batch_items", 1))
        settings.setdefault("idle_seconds_max", 0.05)
        client = client or LocalClient()
        worker = Worker(client, [serving], WorkerSettings(**settings), **more)
        running = in_thread(worker.run)
        try:
            yield worker
        finally:
            worker.drain()
            running.result()

    return working


@pytest.fixture
def server(ledger_db: str) -> Iterator[Server]:
    """The API over HTTP, on the test's database."""
    server = Server()
    yield server
    server.network.swallow.clear()
    server.close()


@pytest.fixture
def token(ledger_db: str) -> str:
    """Of a worker."""
    secret, _ = issue("worker", ["work"])
    return secret


@pytest.fixture
def client(server: Server, token: str) -> Iterator[HttpClient]:
    with HttpClient(server.url, token, "host/worker") as client:
        yield client


def ended(job_id: int) -> dict[str, Any]:
    """Wait for the job's end; return its progress."""

    eventually(lambda: progress(job_id)["status"] in TERMINAL)
    return progress(job_id)


def numbered(count: int) -> Sequence[dict[str, Any]]:
    return [{"key": f"k{n}", "payload": n} for n in range(count)]

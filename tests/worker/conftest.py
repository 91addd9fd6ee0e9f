"""Workers in threads, on a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from joblot.cli.local_client import LocalClient
from joblot.ledger.progress import progress
from joblot.states import TERMINAL
from joblot.worker import Client, Worker, WorkerSettings
from joblot.worker.function import Work
from tests.polling import eventually
from tests.threads import Threads

Working = Callable[..., Any]


@pytest.fixture
def working(in_thread: Threads) -> Working:
    """`with working(work, …) as worker:` a worker of pipeline "p" that drains at the end."""

    @contextmanager
    def working(work: Work, *, client: Client | None = None, **settings: Any) -> Iterator[Worker]:
        on_frozen = settings.pop("on_frozen", None)
        settings.setdefault("idle_seconds_max", 0.05)
        serving = WorkerSettings(pipelines=["p"], **settings)
        worker = Worker(client or LocalClient(), work, serving, on_frozen=on_frozen)
        running = in_thread(worker.run)
        try:
            yield worker
        finally:
            worker.drain()
            running.result()

    return working


def ended(job_id: int) -> dict[str, Any]:
    """The job's progress, once it has ended."""

    eventually(lambda: progress(job_id)["status"] in TERMINAL)
    return progress(job_id)


def numbered(count: int) -> Sequence[dict[str, Any]]:
    return [{"key": f"k{n}", "payload": n} for n in range(count)]

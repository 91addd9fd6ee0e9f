"""A worker over HTTP that drains while its claim waits at the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from joblot.identity.tokens import issue
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.worker import Handler, HttpClient, Worker, WorkerSettings
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.served import Served
from tests.threads import Threads

NEVER_SECONDS = 3_600.0


@pytest.fixture
def served(ledger_db: str, local: None, configure: Callable[..., None]) -> Iterator[Served]:
    configure(wait_seconds_max=NEVER_SECONDS)
    with Served() as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[HttpClient]:
    token, _ = issue("worker", ["work"])
    with HttpClient(served.url, token, "host/worker") as client:
        yield client


def waiting(served: Served) -> int:
    return len(served.process.room)


def worker_of(client: HttpClient) -> Worker:
    settings = WorkerSettings(wait_seconds=NEVER_SECONDS)
    return Worker(client, [Handler("p", lambda items: iter(()))], settings)


def test_a_drain_ends_the_wait_and_the_server_notices(
    served: Served, client: HttpClient, in_thread: Threads
) -> None:
    worker = worker_of(client)
    running = in_thread(worker.run)
    eventually(lambda: waiting(served) == 1)
    worker.drain()
    assert running.result() == 0
    eventually(lambda: waiting(served) == 0)


def test_a_claim_after_it_does_not_wait_and_brings_what_its_key_was_granted(
    served: Served, client: HttpClient
) -> None:
    """As if the interrupted claim had been granted the lease."""

    def claimed() -> list[str]:
        claim = client.claim(
            ["p"], 4, job=None, worker="", idempotency_key="k", wait_seconds=NEVER_SECONDS
        )
        return [lease.token for lease in claim.leases]

    client.interrupt()
    assert claimed() == []
    submit("one", keys(1), pipeline="p")
    assert claimed() == claimed() == [str(Lease.objects.get().pk)]

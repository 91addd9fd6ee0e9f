"""An idle worker beside the ledger sleeps until PostgreSQL notifies of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from joblot.cli import local_client, verbs
from joblot.cli.local_client import LocalClient
from joblot.dispatch import listener
from joblot.ledger.rows import wake
from joblot.ledger.submit.submit import submit
from joblot.wire import Claim
from joblot.worker import Handler, Worker, WorkerSettings
from tests.descriptors import many_descriptors
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.threads import Threads

__all__ = ["many_descriptors"]

NEVER_SECONDS = 3_600.0


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each claim of the ledger. A worker is idle at once."""
    made: list[None] = []
    claim = verbs.claim

    def counted(*given: Any, **named: Any) -> Claim:
        made.append(None)
        return claim(*given, **named)

    monkeypatch.setattr(verbs, "claim", counted)
    monkeypatch.setattr(local_client, "IDLE_SECONDS_MIN", 0.0)
    return made


@pytest.fixture
def client(
    postgres_only: str, claims: list[None], configure: Callable[..., None]
) -> Iterator[LocalClient]:
    configure(claim_retry_seconds_max=NEVER_SECONDS)
    client = LocalClient()
    yield client
    client.interrupt()


def claim(client: LocalClient) -> Claim:
    try:
        return client.claim(
            ["p"],
            4,
            job=None,
            worker="",
            idempotency_key=str(uuid4()),
            wait_seconds=NEVER_SECONDS,
        )
    finally:
        client.close()


def waiting(client: LocalClient, claims: list[None]) -> None:
    """Until it has listened, and made the claim that finds what came before."""
    eventually(lambda: client._listener.is_up and len(claims) == 2)


def test_a_notification_brings_the_work_and_nothing_else_makes_a_claim(
    client: LocalClient, claims: list[None], in_thread: Threads
) -> None:
    found = in_thread(claim, client)
    waiting(client, claims)
    wake.send("the echo of another process")
    with wake.delivered_by(wake.send):
        submit("notified", keys(1), pipeline="p")
    assert len(found.result().leases) == 1
    assert len(claims) == 3


def test_it_waits_on_descriptors_of_any_number(
    many_descriptors: None, client: LocalClient, claims: list[None], in_thread: Threads
) -> None:
    found = in_thread(claim, client)
    waiting(client, claims)
    with wake.delivered_by(wake.send):
        submit("notified", keys(1), pipeline="p")
    assert len(found.result().leases) == 1
    assert client._listener.pause(0.0)
    client.interrupt()
    assert not client._listener.pause(NEVER_SECONDS)
    client.close()


def test_a_drain_ends_the_wait(client: LocalClient, claims: list[None], in_thread: Threads) -> None:
    settings = WorkerSettings(wait_seconds=NEVER_SECONDS)
    worker = Worker(client, [Handler("p", lambda items: iter(()))], settings)
    running = in_thread(worker.run)
    waiting(client, claims)
    worker.drain()
    assert running.result() == 0
    assert not client._listener.is_up, "its connection is closed"


def test_a_connection_that_is_lost_is_noticed_and_the_work_found(
    client: LocalClient, claims: list[None], in_thread: Threads
) -> None:
    found = in_thread(claim, client)
    waiting(client, claims)
    submit("unannounced", keys(1), pipeline="p")
    with connections["postgres"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert (True,) in cursor.fetchall()
    assert len(found.result().leases) == 1


def test_where_nothing_is_delivered_a_claim_does_not_wait(
    client: LocalClient, claims: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that was not declared."""
    monkeypatch.setattr(listener, "ECHO_SECONDS_MAX", 0.1)
    monkeypatch.setattr(wake, "send", lambda payload="": None)
    assert not claim(client).leases
    assert len(claims) == 1
    assert not client._listener.is_up


def test_notifications_of_work_for_others_are_answered_less_and_less_often(
    client: LocalClient, claims: list[None], in_thread: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    paused = threading.Event()

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 6:
            paused.set()
            return False
        wake.send()
        return True

    monkeypatch.setattr(client._listener, "pause", pause)
    found = in_thread(claim, client)
    assert paused.wait(30)
    assert not found.result().leases
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]


def test_on_sqlite_a_claim_does_not_wait(sqlite_only: str, claims: list[None]) -> None:
    assert local_client.wait_seconds() == 0
    assert not claim(LocalClient()).leases
    assert len(claims) == 1

"""Waiting claims are woken by notifications, and need none to be right."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.database_url import database_of
from joblot.dispatch import database
from joblot.dispatch.polling import Polling
from joblot.ledger.claim.availability import ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.job.lifecycle import cancel, pause, resume, start
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release
from joblot.ledger.rows import wake
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, succeed
from tests.polling import eventually
from tests.server.served import Served
from tests.threads import Threads

WAIT_SECONDS = 30


def claim_of(http: httpx.Client, *pipelines: str, **asked: Any) -> list[Any]:
    given = {"pipelines": pipelines or ("p",), "wait_seconds": WAIT_SECONDS, **asked}
    answer = http.post("claims", json=given)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["leases"])


@contextmanager
def one_waits(
    served: Served, http: httpx.Client, in_thread: Threads, *pipelines: str
) -> Iterator[None]:
    """A claim waits while the block runs, asks no more, and gets a lease by what the block does."""
    claim = in_thread(claim_of, http, *pipelines)
    eventually(lambda: is_asleep(served))
    yield
    assert claim.result(), "it was not woken"


def is_asleep(served: Served) -> bool:
    """Claims wait, and no query for them is due."""
    room = served.process.room
    return len(room) > 0 and room.is_asleep


class TestWhatWakes:
    """Another process commits it: here, this thread, which sends for itself."""

    @pytest.fixture(autouse=True)
    def other_process(self, listening: Served) -> Iterator[None]:
        with wake.delivered_by(wake.send):
            yield

    def test_a_submit(self, listening: Served, http: httpx.Client, in_thread: Threads) -> None:
        with one_waits(listening, http, in_thread):
            submit("later", keys(1), pipeline="p")

    def test_a_start(self, listening: Served, http: httpx.Client, in_thread: Threads) -> None:
        job = submit("created", keys(1), pipeline="p", start=False)
        with one_waits(listening, http, in_thread):
            start(job.pk)

    def test_a_resume(self, listening: Served, http: httpx.Client, in_thread: Threads) -> None:
        job = submit("paused", keys(1), pipeline="p")
        pause(job.pk)
        with one_waits(listening, http, in_thread):
            resume(job.pk)

    def test_a_retry(self, listening: Served, http: httpx.Client, in_thread: Threads) -> None:
        job = submit("failed", keys(1), pipeline="p")
        fail(worker.lease())
        with one_waits(listening, http, in_thread):
            retry(job.pk)

    @pytest.mark.parametrize("give_back", [release, expire])
    def test_items_that_come_back(
        self,
        listening: Served,
        http: httpx.Client,
        in_thread: Threads,
        give_back: Callable[[str], object],
    ) -> None:
        submit("leased", keys(1), pipeline="p")
        lease = worker.lease()
        with one_waits(listening, http, in_thread):
            give_back(lease.token)

    def test_a_failure_once_its_next_try_is_due(
        self, listening: Served, http: httpx.Client, in_thread: Threads
    ) -> None:
        submit("again", keys(1), pipeline="p", policy={"retry_backoff_seconds": 0.5})
        lease = worker.lease()
        with one_waits(listening, http, in_thread):
            fail(lease, retryable=True)

    @pytest.mark.parametrize("how", ["called", "with a claim", "judged"])
    def test_a_success_that_is_passed_on(
        self, listening: Served, http: httpx.Client, in_thread: Threads, how: str
    ) -> None:
        submit("stages", keys(2), stages=TWO_STAGES)
        lease = worker.lease()
        with one_waits(listening, http, in_thread, "q"):
            report(listening, lease.token, how)


def report(served: Served, token: str, how: str) -> None:
    if how == "called":
        assert worker.receipts(token, success(0)) == ["counted"]
    elif how == "with a claim":
        results = {"lease": token, "results": [{"item": 0, "outcome": "succeeded"}]}
        with served.client() as other:
            given = results | {"claim": {"pipelines": ["p"], "limit": 1}}
            assert other.post("results", json=given).status_code == 200
    else:  # with a result that can't be settled at once
        assert worker.receipts(token, success(0), success(99)) == ["counted", "rejected"]


def test_one_announcement_for_a_transaction_and_none_for_one_that_is_rolled_back(
    postgres_only: str, connect: Callable[[], BaseDatabaseWrapper]
) -> None:
    told = heard_by(connect())
    with wake.delivered_by(wake.send):
        with suppress(ZeroDivisionError), transaction.atomic(using=postgres_only):
            wake.note_work()
            raise ZeroDivisionError
        assert told() == 0
        with transaction.atomic(using=postgres_only):
            wake.note_work()
            with transaction.atomic(using=postgres_only):
                wake.note_work()
            assert told() == 0
        assert told() == 1


def test_the_last_stage_is_passed_on_to_nobody(
    postgres_only: str, connect: Callable[[], BaseDatabaseWrapper]
) -> None:
    submit("one stage", keys(2), pipeline="p")
    lease, told = worker.lease(), heard_by(connect())
    with wake.delivered_by(wake.send):
        succeed(lease)
    assert told() == 0


def heard_by(other: BaseDatabaseWrapper) -> Callable[[], int]:
    """How many notifications have arrived since the last call."""
    with other.cursor() as cursor:
        cursor.execute(f"LISTEN {wake.CHANNEL}")

    def told() -> int:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert other.connection is not None
        return len(list(other.connection.notifies(timeout=0)))

    return told


def test_a_lost_notification_costs_one_poll_and_trust_until_the_next_echo(
    listening: Served,
    http: httpx.Client,
    in_thread: Threads,
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(waiting_poll_seconds=0.3)
    asked, backend = threading.Event(), listening.process.dispatch
    verify = backend.verify

    def noted() -> None:
        asked.set()
        verify()

    monkeypatch.setattr(backend, "verify", noted)
    with one_waits(listening, http, in_thread), wake.delivered_by(None):
        submit("unannounced", keys(1), pipeline="p")
    assert asked.wait(WAIT_SECONDS)
    eventually(lambda: listening.process.dispatch.is_up)


def test_a_connection_that_is_lost_is_replaced(
    listening: Served, http: httpx.Client, in_thread: Threads
) -> None:
    with one_waits(listening, http, in_thread):
        with connections["postgres"].cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
            assert (True,) in cursor.fetchall()
        with wake.delivered_by(None):  # while nothing is heard, it is polled for
            submit("unannounced", keys(1), pipeline="p")
    eventually(lambda: listening.process.dispatch.is_up)
    with one_waits(listening, http, in_thread), wake.delivered_by(wake.send):
        submit("announced", keys(1), pipeline="p")


def test_an_idle_waiter_asks_nothing(
    listening: Served, http: httpx.Client, in_thread: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, ready = [], listening.process.room._ready

    async def counted(asked: Collection[Wanted]) -> Mapping[Wanted, float]:
        queries.append(asked)
        return await ready(asked)

    monkeypatch.setattr(listening.process.room, "_ready", counted)
    with one_waits(listening, http, in_thread):
        before = len(queries)
        with listening.client() as other:
            assert all(other.get("jobs").status_code == 200 for _ in range(20))
        assert len(queries) == before
        submit("later", keys(1), pipeline="p")


def test_what_becomes_due_is_foreseen(postgres_only: str) -> None:
    mine, other = Wanted.of("p", None, None), Wanted.of("q", None, None)
    submit("again", keys(2), pipeline="p", policy={"retry_backoff_seconds": 100})
    assert ready_for([mine, other]) == {mine: 0}
    fail(worker.lease(), retryable=True)
    found = ready_for([mine, other])
    assert 90 < found[mine] <= 100
    assert other not in found


def test_a_canceled_job_wakes_nobody(postgres_only: str) -> None:
    job: Job = submit("ends", keys(2), pipeline="p")
    cancel(job.pk, grace_seconds=0)
    assert ready_for([Wanted.of("p", None, None)]) == {}


def test_sqlite_is_polled(sqlite_only: str) -> None:
    assert isinstance(database.backend(), Polling)


def test_a_pooler_is_polled() -> None:
    """It gives the next transaction another session, so what the first one listens to is lost."""
    for flag, heard in (("", True), ("?pgbouncer=true", False)):
        known = database_of(f"postgresql://u@h/d{flag}")
        wrapper = connections["postgres"].copy()
        wrapper.settings_dict = {**wrapper.settings_dict, **known}
        assert database.can_listen(wrapper) is heard

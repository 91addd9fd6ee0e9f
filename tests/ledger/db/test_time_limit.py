"""Adopter code that hangs in a transaction: how long it holds locks, and what it can write.

A thread can't be killed, so each of these tests lets the code continue at its end, and checks that
nothing that it then writes is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connections
from django.db.transaction import atomic

from joblot.errors import Unavailable
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire_overdue, renew
from joblot.ledger.maintain import delivery
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.hooks import (
    JobNotice,
    SettledResult,
    on_event,
    on_late,
    on_result,
)
from joblot.ledger.submit.submit import submit
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed
from tests.polling import eventually

Saved = Callable[[], dict[str, str]]
SECONDS_MAX = 30


def insert(key: str) -> None:
    with connections[databases.current()].cursor() as cursor:
        cursor.execute("INSERT INTO saved_row (key, value) VALUES (%s, '')", [key])


@dataclass
class Hang:
    """Hangs at its first call for `k0`, until `go_on`; then it does `afterwards`.

    Also if the limit was reached before it could write a row, as it may be on a busy machine.
    """

    afterwards: Callable[[], Any] = field(default=lambda: None)
    hangs: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, results: Sequence[SettledResult]) -> None:
        try:
            for result in results:
                insert(f"{result.key} of {result.job_id}")
        finally:
            if results[0].key == "k0" and not self.hangs.is_set():
                self.hangs.set()
                assert self.go_on.wait(SECONDS_MAX)
                self.afterwards()

    def wait(self) -> None:
        assert self.hangs.wait(SECONDS_MAX)


@pytest.fixture
def make_hang() -> Iterator[Callable[..., Hang]]:
    with ExitStack() as stack:

        def make(afterwards: Callable[[], Any] = lambda: None) -> Hang:
            hang = Hang(afterwards)
            stack.callback(hang.go_on.set)
            return hang

        yield make


def test_a_hook_that_hangs_holds_up_nobody_who_does_not_share_its_lease(
    postgres_only: str, in_thread: Any, make_hang: Callable[..., Hang], saved: Saved
) -> None:
    hang = make_hang()
    on_result("p")(hang)
    job = submit("hung", keys(3), pipeline="p")
    hung, same = worker.lease(limit=1), worker.lease(limit=1)
    expiring = submit("expiring", keys(1), pipeline="q", policy={"lease_seconds": 0.001})
    worker.lease("q")
    other = submit("other", keys(2), pipeline="r")
    worker.lease("r", limit=1)
    running = in_thread(succeed, hung)
    hang.wait()

    assert succeed(same) == ["counted"]  # of the same job, with the same hook
    assert worker.lease(limit=1).items[0].id == 2
    assert expire_overdue() == 1
    assert worker.lease("q").items
    cancel(other.pk, grace_seconds=0)
    assert status(other) == "REVOKED"
    sweep()
    assert not running.done
    hang.go_on.set()
    assert running.result() == ["counted"]
    assert counts(job) == {"succeeded": 2}
    assert saved().keys() == {f"k0 of {job.pk}", f"k1 of {job.pk}"}
    assert expiring.pk


def test_at_its_limit_the_locks_are_let_go_and_the_results_can_be_reported_again(
    ledger_db: str,
    in_thread: Any,
    make_hang: Callable[..., Hang],
    configure: Callable[..., None],
    saved: Saved,
) -> None:
    """On SQLite, others wait for the write lock that long, and no longer."""
    configure(hook_seconds_max=0.5)
    hang = make_hang()
    on_result("p")(hang)
    job = submit("hung", keys(1), pipeline="p")
    other = submit("other", keys(1), pipeline="q")
    lease, another = worker.lease(), worker.lease("q")
    running = in_thread(succeed, lease)
    hang.wait()
    configure(hook_seconds_max=SECONDS_MAX)  # for the other calls, which do not hang
    assert succeed(another) == ["counted"]
    assert status(other) == "SUCCESS"
    renew(lease.token)  # waits for the lock that the report holds
    assert succeed(lease) == ["counted"]
    assert not running.done
    hang.go_on.set()
    with pytest.raises(Unavailable, match=r"the hook of pipeline p, job \d+ took longer than 0.5"):
        running.result()
    assert (counts(job), status(job)) == ({"succeeded": 1}, "SUCCESS")
    assert saved() == {f"k0 of {job.pk}": ""}


def inserts() -> None:
    insert("afterwards")


def inserts_in_a_savepoint() -> None:
    with atomic(using=databases.current()):
        insert("afterwards")


def inserts_whatever_fails() -> None:
    for _ in range(3):
        with suppress(Exception):
            inserts()
        with suppress(Exception):
            inserts_in_a_savepoint()


def inserts_past_django() -> None:
    """Like a statement that had passed Django's check when the transaction was ended."""
    with suppress(DatabaseError, InterfaceError):
        connections[databases.current()].connection.cursor().execute(
            "INSERT INTO saved_row (key, value) VALUES ('afterwards', '')"
        )


def inserts_through_a_new_connection_of_the_same_name() -> None:
    connections[databases.current()].close()
    inserts()


GOING_ON = [
    inserts,
    inserts_in_a_savepoint,
    inserts_whatever_fails,
    inserts_past_django,
    inserts_through_a_new_connection_of_the_same_name,
]


@pytest.mark.parametrize("afterwards", GOING_ON)
@pytest.mark.parametrize("inside", ["on_result", "on_late", "on_event"])
def test_what_it_goes_on_to_write_is_not_committed(  # noqa: PLR0917 (fixtures)
    ledger_db: str,
    in_thread: Any,
    make_hang: Callable[..., Hang],
    configure: Callable[..., None],
    saved: Saved,
    caplog: pytest.LogCaptureFixture,
    inside: str,
    afterwards: Callable[[], None],
) -> None:
    configure(hook_seconds_max=0.2, handler_seconds_max=0.2, outbox_backoff_seconds=600)
    hang = make_hang(afterwards)
    job = submit("hung", keys(1), pipeline="p")
    lease = worker.lease()
    if inside == "on_event":
        hang_for(hang, "finished")
        succeed(lease)
        sweep()
        running = in_thread(delivery.deliver)
    else:
        {"on_result": on_result, "on_late": on_late}[inside]("p")(hang)
        if inside == "on_late":
            cancel(job.pk, grace_seconds=0)
        running = in_thread(succeed, lease)
    hang.wait()
    eventually(lambda: "its transaction ended" in caplog.text)
    hang.go_on.set()
    if inside == "on_event":
        assert running.result() == 0
    else:
        with pytest.raises(Unavailable):
            running.result()
    assert saved() == {}


def hang_for(hang: Hang, kind: str) -> None:
    @on_event(kind)
    def handle(event: JobNotice) -> None:
        hang([SettledResult(event.job_id, 1, "", 0, "k0", None, None, {}, None)])


@pytest.mark.parametrize("ledger_statement", ["runs", "is half read"])
def test_a_statement_is_no_hiding_place(  # noqa: PLR0917 (fixtures)
    ledger_db: str,
    in_thread: Any,
    make_hang: Callable[..., Hang],
    configure: Callable[..., None],
    saved: Saved,
    ledger_statement: str,
) -> None:
    configure(hook_seconds_max=0.3)
    endless = {
        "postgres": "SELECT pg_sleep(600)",
        "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
        "SELECT count(*) FROM n",
    }
    hang = make_hang()

    @on_result("p")
    def hook(results: Sequence[SettledResult]) -> None:
        with connections[ledger_db].cursor() as cursor:
            try:
                if ledger_statement == "runs":
                    hang.hangs.set()
                    cursor.execute(endless[ledger_db])
                cursor.execute("SELECT job_id FROM joblot_item")
                cursor.fetchone()
            finally:
                hang(results)

    job = submit("hung", keys(3), pipeline="p")
    lease = worker.lease()
    running = in_thread(succeed, lease)
    hang.wait()
    submit("waits for the lock", keys(1), pipeline="q")
    renew(lease.token)
    hang.go_on.set()
    with pytest.raises(Unavailable):
        running.result()
    assert (saved(), counts(job)) == ({}, {})


def test_its_connection_can_be_used_again(
    ledger_db: str,
    in_thread: Any,
    make_hang: Callable[..., Hang],
    configure: Callable[..., None],
    saved: Saved,
) -> None:
    configure(hook_seconds_max=0.3)
    hang = make_hang()
    on_result("p")(hang)
    submit("hung", keys(1), pipeline="p")
    lease = worker.lease()

    def twice() -> list[str]:
        with pytest.raises(Unavailable):
            succeed(lease)
        configure(hook_seconds_max=SECONDS_MAX)
        return succeed(lease)

    running = in_thread(twice)
    hang.wait()
    renew(lease.token)
    hang.go_on.set()
    assert running.result() == ["counted"]
    assert len(saved()) == 1

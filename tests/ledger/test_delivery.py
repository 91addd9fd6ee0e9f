"""Deliveries: at least once, by a stable id; exactly once for what is in the same database."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.db.transaction import atomic

from joblot import clock
from joblot.errors import NotDurable
from joblot.ledger import delivery
from joblot.ledger.health import health
from joblot.ledger.hooks import JobEvent, on_event
from joblot.ledger.lifecycle import cancel, retry
from joblot.ledger.outbox import fan_out
from joblot.ledger.progress import progress
from joblot.ledger.pulse import overdue
from joblot.ledger.submit import submit
from joblot.ledger.sweep import sweep, sweep_until
from joblot.ledger.why import why
from joblot.models import Delivery, Event
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import fail, keys, succeed
from tests.polling import eventually


def finished(pipeline: str = "p") -> int:
    job = submit("told", keys(1), pipeline=pipeline)
    worker.drain(pipeline)
    return job.pk


def deliver() -> int:
    fan_out()
    return delivery.deliver()


def insert(event: JobEvent) -> None:
    with connections[databases.current()].cursor() as cursor:
        cursor.execute(
            "INSERT INTO saved_row (key, value) VALUES (%s, %s)", [f"{event.id}", event.kind]
        )


def test_a_handler_is_told_of_its_kinds_only_in_order(ledger_db: str) -> None:
    told: list[JobEvent] = []
    on_event("pending", "finished")(told.append)
    job_id = finished()
    assert told == []  # nothing is delivered inside anybody's work
    assert sweep().events_fanned_out == 3
    assert told == []  # nor does the sweep
    assert deliver() == 2
    assert [(event.kind, event.job_id, event.run) for event in told] == [
        ("pending", job_id, 1),
        ("finished", job_id, 1),
    ]
    assert (told[1].revision, told[1].data["status"]) == (1, "SUCCESS")
    assert deliver() == 0
    assert len(told) == 2


def test_runs_and_amendments_are_told_apart(ledger_db: str) -> None:
    told: list[tuple[str, int, int]] = []

    @on_event("finished", "amended")
    def tell(event: JobEvent) -> None:
        told.append((event.kind, event.run, event.revision))

    job = submit("told", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease)
    succeed(lease, 0)
    retry(job.pk)
    worker.drain()
    deliver()
    assert told == [("finished", 1, 1), ("amended", 1, 2), ("finished", 2, 1)]


def test_effects_in_the_same_database_happen_exactly_once(ledger_db: str, saved: Any) -> None:
    """The handler does its work, then dies; what it wrote is not there, and is done again."""
    tries: list[int] = []

    @on_event("finished")
    def dies_first(event: JobEvent) -> None:
        insert(event)
        tries.append(event.id)
        if len(tries) < 3:
            raise ConnectionError

    finished()
    for _ in range(4):
        assert (saved() == {}) is (len(tries) < 3)
        deliver()
        Delivery.ledger.filter(tries__gt=0).update(next_try_at="2000-01-01T00:00:00Z")
    assert len(set(tries)) == 1
    assert len(tries) == 3
    assert saved() == {str(tries[0]): "finished"}


def test_an_event_delivered_again_does_not_reach_a_handler_that_had_it(
    ledger_db: str, saved: Any
) -> None:
    """The event is fanned out a second time."""
    on_event("finished")(insert)
    finished()
    deliver()
    Event.ledger.update(dispatched_at=None)
    deliver()
    assert len(saved()) == 1
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_a_failing_handler_is_tried_again_later_and_keeps_no_other_from_the_event(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10)
    good: list[int] = []
    bad: list[int] = []

    @on_event("finished")
    def fails(event: JobEvent) -> None:
        bad.append(event.id)
        raise ValueError

    @on_event("finished")
    def works(event: JobEvent) -> None:
        good.append(event.id)

    first = finished()
    deliver()
    assert (len(bad), len(good)) == (1, 1)
    deliver()
    assert len(bad) == 1  # not before its time
    second = finished("q")
    deliver()
    assert (len(bad), len(good)) == (2, 2)  # the event that fails stands in nobody's way
    for wait, tries in ((10, 2), (20, 3), (40, 4)):
        clock.forward(wait - 1)
        before = bad.count(bad[0])
        deliver()
        assert bad.count(bad[0]) == before
        clock.forward(1)
        deliver()
        assert bad.count(bad[0]) == tries
    assert len(good) == 2
    assert first != second
    assert Delivery.objects.filter(delivered_at=None).count() == 2


@pytest.mark.parametrize("error", ["of the database", "of another kind"])
def test_a_handler_whose_rows_are_rolled_back_has_not_had_the_event(
    ledger_db: str, saved: Any, error: str
) -> None:
    """It swallowed what made its transaction one that can't be committed."""
    broken = True

    @on_event("finished")
    def save(event: JobEvent) -> None:
        insert(event)
        if broken:
            with suppress(DatabaseError, ValueError), atomic(using=ledger_db, savepoint=False):
                if error == "of another kind":
                    raise ValueError
                insert(event)

    finished()
    deliver()
    assert saved() == {}
    broken = False
    Delivery.ledger.update(next_try_at=clock.now())
    deliver()
    assert list(saved().values()) == ["finished"]


def test_the_wait_of_a_failing_handler_has_a_maximum(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10, outbox_backoff_seconds_max=15)
    tries: list[int] = []

    @on_event("finished")
    def fails(event: JobEvent) -> None:
        tries.append(1)
        raise ValueError

    finished()
    for _ in range(5):
        deliver()
        clock.forward(15)
    assert len(tries) == 5


def test_more_events_than_a_batch_are_delivered_by_and_by(ledger_db: str, configure: Any) -> None:
    configure(outbox_batch_events=2)
    told: list[tuple[int, str]] = []
    kinds = ("pending", "started", "finished")
    on_event(*kinds)(lambda event: told.append((event.job_id, event.kind)))
    jobs = [finished(), finished()]
    assert [fan_out() for _ in range(4)] == [2, 2, 2, 0]
    assert deliver() == 6
    for job in jobs:
        assert [kind for job_id, kind in told if job_id == job] == list(kinds)


def test_a_handler_may_read_the_ledger_but_not_settle_in_it(ledger_db: str) -> None:
    seen: list[str] = []

    @on_event("finished")
    def read(event: JobEvent) -> None:
        seen.append(progress(event.job_id)["status"])
        with pytest.raises(NotDurable):
            cancel(job.pk, grace_seconds=0)

    job = submit("other", keys(1), pipeline="other")
    finished()
    deliver()
    assert seen == ["SUCCESS"]
    assert worker.status(job) == "PENDING"
    assert not Delivery.objects.filter(delivered_at=None).exists()


def test_a_handler_may_submit_the_next_job(ledger_db: str) -> None:
    @on_event("finished")
    def follow(event: JobEvent) -> None:
        submit(f"after {event.job_id}", keys(2), pipeline="next")

    finished()
    deliver()
    Event.ledger.filter(kind="finished").update(dispatched_at=None)
    deliver()
    assert len(worker.lease("next").items) == 2
    assert worker.nothing("next")
    assert Delivery.objects.filter(handler__endswith=".follow").count() == 1


# What one handler does to the others


class Crash(BaseException):
    """The end of a process in the middle of a call."""


def test_what_a_handler_has_not_taken_keeps_its_jobs_later_events_from_it_and_no_others(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10)
    told: list[tuple[str, int, str]] = []
    bad: set[str] = {"pending"}

    @on_event("pending", "finished")
    def picky(event: JobEvent) -> None:
        if event.kind in bad and event.job_id == first:
            raise ValueError
        told.append(("picky", event.job_id, event.kind))

    @on_event("pending", "finished")
    def other(event: JobEvent) -> None:
        told.append(("other", event.job_id, event.kind))

    first, second = finished(), finished("q")
    deliver()
    assert [one for one in told if one[:2] == ("picky", first)] == []
    for who, job in (("other", first), ("other", second), ("picky", second)):
        assert [k for w, j, k in told if (w, j) == (who, job)] == ["pending", "finished"]
    bad.clear()
    clock.forward(10)
    deliver()
    assert [k for w, j, k in told if (w, j) == ("picky", first)] == ["pending", "finished"]


def test_a_handler_that_is_not_transactional_holds_no_transaction_and_is_marked_afterwards(
    ledger_db: str, saved: Any
) -> None:
    """Its process dies after the effect and before the mark: at least once."""
    calls: list[bool] = []

    @on_event("finished", transactional=False)
    def mail(event: JobEvent) -> None:
        calls.append(connections[ledger_db].in_atomic_block)
        if len(calls) == 1:
            insert(event)
            raise Crash

    finished()
    with suppress(Crash):
        deliver()
    assert len(saved()) == 1  # committed at once, by no transaction of the ledger
    assert deliver() == 0  # claimed, until the limit and the wait are over
    Delivery.ledger.update(next_try_at=clock.now())
    assert deliver() == 1
    assert calls == [False, False]


def test_a_try_whose_process_died_is_due_again_after_its_limit_and_a_wait(
    ledger_db: str, clock: Any, configure: Any, saved: Any
) -> None:
    configure(handler_seconds_max=7, outbox_backoff_seconds=2)
    calls: list[int] = []

    @on_event("finished")
    def dies(event: JobEvent) -> None:
        insert(event)
        calls.append(event.id)
        if len(calls) == 1:
            raise Crash

    job = finished()
    with suppress(Crash):
        deliver()
    assert saved() == {}
    clock.forward(5)
    (reason,) = [one for one in why(job)["reasons"] if one["code"] == "undelivered"]
    assert "dies, event" in reason["text"]
    assert "try 1 has not returned since 2030-01-01T00:00:00" in reason["text"]
    assert "next try at 2030-01-01T00:00:09" in reason["text"]
    clock.forward(3.9)
    assert deliver() == 0
    clock.forward(0.1)
    assert deliver() == 1
    assert len(saved()) == 1
    assert [one["code"] for one in why(job)["reasons"]] == ["ended"]


def test_one_that_fails_is_named_with_its_error_and_its_next_try(
    ledger_db: str, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Untellable(Exception):
        def __str__(self) -> str:
            raise ValueError

    errors: list[Exception] = [ConnectionError("mail\x00 server is away"), Untellable()]

    @on_event("finished")
    def fails(event: JobEvent) -> None:
        raise errors.pop(0)

    job = finished()
    deliver()
    (check,) = [one for one in health() if one["check"] == "handlers"]
    assert not check["ok"]
    assert "try 1 failed (ConnectionError: mail� server is away); next try at" in check["found"]
    assert "fails, event" in caplog.text
    assert "the next one is in 1 s" in caplog.text
    clock.forward(1)
    deliver()
    (reason,) = [one for one in why(job)["reasons"] if one["code"] == "undelivered"]
    assert "try 2 failed (Untellable: its text can't be made)" in reason["text"]


def test_an_event_that_nobody_delivers_is_told(ledger_db: str, clock: Any) -> None:
    on_event("finished")(lambda event: None)
    finished()
    fan_out()
    clock.forward(31)
    (check,) = [one for one in health() if one["check"] == "handlers"]
    assert "nobody has called it since" in check["found"]
    assert "joblot deliver --forever" in check["found"]
    assert overdue() == []  # a server is healthy all the same


def test_one_handler_occupies_so_many_processes_and_the_next_one_serves_others(
    ledger_db: str, in_thread: Any, configure: Any
) -> None:
    configure(handler_at_once_max=1)
    hangs, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    @on_event("finished", transactional=False)
    def slow(event: JobEvent) -> None:
        told.append("slow")
        hangs.set()
        assert go_on.wait(30)

    on_event("finished")(lambda event: told.append("other"))
    finished()
    finished("q")
    fan_out()
    running = in_thread(delivery.deliver)
    try:
        assert hangs.wait(30)
        delivery.deliver()
        assert sorted(told) == ["other", "other", "slow"]
    finally:
        go_on.set()
    running.result()
    assert sorted(told) == ["other", "other", "slow", "slow"]


def test_a_call_that_was_overtaken_marks_nothing(ledger_db: str, configure: Any) -> None:
    """It was thought dead, and another process has begun a later try."""
    tries: list[int] = []

    @on_event("finished", transactional=False)
    def frozen(event: JobEvent) -> None:
        tries.append(1)
        if len(tries) == 1:
            Delivery.ledger.update(tries=2)  # as by the other's claim

    finished()
    assert deliver() == 0
    assert Delivery.objects.get().delivered_at is None


def test_what_is_left_of_a_removed_job_is_not_delivered(ledger_db: str) -> None:
    told: list[int] = []
    on_event("pending")(lambda event: told.append(event.id))
    finished()
    fan_out()
    Event.ledger.filter(kind="pending").delete()
    assert deliver() == 0
    assert (told, Delivery.objects.count()) == ([], 0)


def test_handlers_in_a_thread_of_a_plain_process_hold_up_no_sweep(
    ledger_db: str, in_thread: Any, configure: Any
) -> None:
    """Nothing can end the thread; its transaction is ended, and the sweep goes on."""
    configure(handler_seconds_max=0.3, sweep_seconds=0.01, handler_poll_seconds=0.01)
    hangs, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    @on_event("finished")
    def hang(event: JobEvent) -> None:
        hangs.set()
        assert go_on.wait(30)

    sweeping = in_thread(sweep_until, stop)
    delivering = in_thread(delivery.deliver_until, stop)
    try:
        finished()
        assert hangs.wait(30)
        submit("dead", keys(1), pipeline="dead", policy={"lease_seconds": 0.05})
        worker.lease("dead")
        eventually(lambda: not worker.nothing("dead"))
    finally:
        stop.set()
        go_on.set()
    sweeping.result()
    delivering.result()


def test_a_fan_out_that_fails_is_put_off_and_keeps_no_other_event(
    ledger_db: str, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    bad = [True]

    def write(event: JobEvent) -> None:
        if event.job_id == first and bad:
            raise ValueError

    monkeypatch.setattr("joblot.ledger.hooks._on_fan_out", [(frozenset({"finished"}), write)])
    on_event("finished")(lambda event: told.append(event.job_id))
    first, second = finished(), finished("q")
    deliver()
    assert told == [second]
    bad.clear()
    assert deliver() == 0
    clock.forward(1)
    deliver()
    assert told == [second, first]

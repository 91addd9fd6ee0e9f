"""Handlers that fail, hang and die: what they delay, and what is reported about them."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import connections

from joblot import clock
from joblot.ledger.maintain import delivery
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.sweep import sweep_until
from joblot.ledger.read.health import health
from joblot.ledger.read.pulse import overdue
from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import JobNotice, on_event
from joblot.ledger.submit.submit import submit
from joblot.models import Delivery, Event
from tests.ledger import worker
from tests.ledger.told import deliver, finished, insert
from tests.ledger.worker import keys
from tests.polling import eventually


class Crash(BaseException):
    """The process dies in the middle of a call."""


def test_what_a_handler_has_not_taken_keeps_its_jobs_later_events_from_it_and_no_others(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10)
    handled: list[tuple[str, int, str]] = []
    bad: set[str] = {"started"}

    @on_event("started", "finished")
    def picky(event: JobNotice) -> None:
        if event.kind in bad and event.job_id == first:
            raise ValueError
        handled.append(("picky", event.job_id, event.kind))

    @on_event("started", "finished")
    def other(event: JobNotice) -> None:
        handled.append(("other", event.job_id, event.kind))

    first, second = finished(), finished("q")
    deliver()
    assert [one for one in handled if one[:2] == ("picky", first)] == []
    for who, job in (("other", first), ("other", second), ("picky", second)):
        assert [k for w, j, k in handled if (w, j) == (who, job)] == ["started", "finished"]
    bad.clear()
    clock.forward(10)
    deliver()
    assert [k for w, j, k in handled if (w, j) == ("picky", first)] == ["started", "finished"]


def test_a_handler_that_is_not_transactional_holds_no_transaction_and_is_marked_afterwards(
    ledger_db: str, saved: Any
) -> None:
    """Its process dies after the effect and before the mark: at least once."""
    calls: list[bool] = []

    @on_event("finished", transactional=False)
    def mail(event: JobNotice) -> None:
        calls.append(connections[ledger_db].in_atomic_block)
        if len(calls) == 1:
            insert(event)
            raise Crash

    finished()
    with suppress(Crash):
        deliver()
    assert len(saved()) == 1  # committed at once, outside the ledger's transactions
    assert deliver() == 0  # claimed until the limit and the wait are over
    Delivery.ledger.update(next_try_at=clock.now())
    assert deliver() == 1
    assert calls == [False, False]


def test_a_try_whose_process_died_is_due_again_after_its_limit_and_a_wait(
    ledger_db: str, clock: Any, configure: Any, saved: Any
) -> None:
    configure(handler_seconds_max=7, outbox_backoff_seconds=2)
    calls: list[int] = []

    @on_event("finished")
    def dies(event: JobNotice) -> None:
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
    def fails(event: JobNotice) -> None:
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


def test_an_event_that_nobody_delivers_is_reported(ledger_db: str, clock: Any) -> None:
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
    handled: list[str] = []

    @on_event("finished", transactional=False)
    def slow(event: JobNotice) -> None:
        handled.append("slow")
        hangs.set()
        assert go_on.wait(30)

    on_event("finished")(lambda event: handled.append("other"))
    finished()
    finished("q")
    fan_out()
    running = in_thread(delivery.deliver)
    try:
        assert hangs.wait(30)
        delivery.deliver()
        assert sorted(handled) == ["other", "other", "slow"]
    finally:
        go_on.set()
    running.result()
    assert sorted(handled) == ["other", "other", "slow", "slow"]


def test_a_try_that_was_begun_is_not_begun_again_before_its_time(ledger_db: str) -> None:
    """Two processes have read that it is due; the second starts after the first has begun."""
    on_event("finished")(insert)
    finished()
    fan_out()
    (due,) = delivery._due()
    assert delivery._claim_if_due(*due) is not None
    assert delivery._claim_if_due(*due) is None


def test_a_call_that_was_overtaken_marks_nothing(ledger_db: str, configure: Any) -> None:
    """It was considered dead, and another process has begun a later attempt."""
    tries: list[int] = []

    @on_event("finished", transactional=False)
    def frozen(event: JobNotice) -> None:
        tries.append(1)
        if len(tries) == 1:
            Delivery.ledger.update(tries=2)  # as if claimed by the other

    finished()
    assert deliver() == 0
    assert Delivery.objects.get().delivered_at is None


def test_what_is_left_of_a_removed_job_is_not_delivered(ledger_db: str) -> None:
    handled: list[int] = []
    on_event("started")(lambda event: handled.append(event.id))
    finished()
    fan_out()
    Event.ledger.filter(kind="started").delete()
    assert deliver() == 0
    assert (handled, Delivery.objects.count()) == ([], 0)


def test_handlers_in_a_thread_of_a_plain_process_hold_up_no_sweep(
    ledger_db: str, in_thread: Any, configure: Any
) -> None:
    """Nothing can end the thread; its transaction is ended, and the sweep continues."""
    configure(handler_seconds_max=0.3, sweep_seconds=0.01, handler_poll_seconds=0.01)
    hangs, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    @on_event("finished")
    def hang(event: JobNotice) -> None:
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
    handled: list[int] = []
    bad = [True]

    def write(event: JobNotice) -> None:
        if event.job_id == first and bad:
            raise ValueError

    monkeypatch.setattr(
        "joblot.ledger.report.hooks._on_fan_out", [(frozenset({"finished"}), write)]
    )
    on_event("finished")(lambda event: handled.append(event.job_id))
    first, second = finished(), finished("q")
    deliver()
    assert handled == [second]
    bad.clear()
    assert deliver() == 0
    clock.forward(1)
    deliver()
    assert handled == [second, first]

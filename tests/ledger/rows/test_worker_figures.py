"""The figures of the workers: what each has reported, gathered in memory, written now and then."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from joblot.errors import Unavailable
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.job.prune import prune
from joblot.ledger.read.gauges import gauges
from joblot.ledger.read.workers import workers
from joblot.ledger.report.report import report
from joblot.ledger.rows import worker_figures
from joblot.ledger.submit.submit import submit
from joblot.models import WorkerMinute
from joblot.wire import Result, failure, success
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys


def write() -> None:
    worker_figures.write(older_than=0.0)


def shown(name: str = "gpu-1") -> tuple[float, int, str | None]:
    (one,) = (one for one in workers() if one["instance"] == name)
    return one["items_per_minute"], one["failed_last_hour"], one["last_error"]


def lease(items: int = 8, **claim: Any) -> str:
    submit("work", keys(items), pipeline="p", policy={"failures_max": 2})
    return str(worker.lease(limit=items, **{"worker": "gpu-1", **claim}).token)


def broken(item: int, message: str, *, retryable: bool = False) -> Result:
    return failure(item, "CudaError", message, retryable=retryable)


def unavailable(*_: Any, **__: Any) -> None:
    raise Unavailable("the database is away")


def test_what_a_worker_has_reported(ledger_db: str, clock: Clock) -> None:
    clock.forward(600)
    token = lease()
    report(
        token, [success(0), success(1), broken(2, "no memory"), broken(3, "later", retryable=True)]
    )
    report(
        token, [success(0), broken(9, "not in the lease")]
    )  # a duplicate, and one that is rejected
    write()
    assert shown() == (4.0, 1 + 1, "CudaError: later")
    report(token, [success(4)])
    write()
    assert shown() == (5.0, 2, "CudaError: later")


def test_the_rate_is_over_five_minutes_or_since_the_worker_was_first_seen(
    ledger_db: str, clock: Clock
) -> None:
    token = lease(60)
    report(token, [success(n) for n in range(30)])
    write()
    assert shown()[0] == 30.0  # in its first minute
    clock.forward(120)
    assert shown()[0] == 15.0
    clock.forward(180)
    assert shown()[0] == 6.0
    clock.forward(59)
    report(token, [success(n) for n in range(30, 60)])
    write()
    assert shown()[0] == pytest.approx(60 / (359 / 60), abs=0.1)
    clock.forward(1)  # the first 30 are out of the window of 5 to 6 minutes
    assert shown()[0] == 6.0
    clock.forward(3_600)
    assert shown() == (0.0, 0, None)


def test_failures_and_the_last_error_are_shown_for_an_hour(ledger_db: str, clock: Clock) -> None:
    token = lease()
    report(token, [broken(0, "first")])
    write()
    clock.forward(1_800)
    report(token, [broken(1, "second\nwith details")])
    write()
    assert shown()[1:] == (2, "CudaError: second")
    clock.forward(1_800)
    assert shown()[1:] == (1, "CudaError: second")
    clock.forward(1_800)
    assert shown()[1:] == (0, None)


def test_each_worker_of_each_owner_has_its_own(ledger_db: str, clock: Clock) -> None:
    first, second = lease(2, owner=1), lease(2, owner=2)
    nameless = lease(1, worker="")
    report(first, [success(0), success(1)])
    report(second, [broken(0, "x")])
    report(nameless, [success(0)])
    write()
    by_owner = {one["owner"]: (one["items_per_minute"], one["last_error"]) for one in workers()}
    assert by_owner == {1: (2.0, None), 2: (1.0, "CudaError: x")}
    assert [one["items_per_minute"] for one in workers(2)] == [1.0]
    assert WorkerMinute.objects.count() == 2


def test_two_processes_add_to_the_same_minute(ledger_db: str, clock: Clock) -> None:
    token = lease()
    for number in range(4):
        report(token, [success(number)])
        write()
    (row,) = WorkerMinute.objects.all()
    assert (row.succeeded, row.failed, row.error) == (4, 0, None)


def test_a_report_costs_no_statement_for_them(
    ledger_db: str, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    token = lease()
    with django_assert_max_num_queries(50, using=ledger_db) as first:
        report(token, [success(0)])
    assert not any("worker_minute" in one["sql"] for one in first.captured_queries)
    with django_assert_num_queries(0, using=ledger_db):
        worker_figures.write()  # it has gathered them for less than `worker_seen_seconds`


def test_a_process_that_does_not_sweep_writes_them_in_a_later_report(
    ledger_db: str, configure: Any
) -> None:
    configure(worker_seen_seconds=1e-9)
    report(lease(), [success(0)])
    assert shown()[0] == 1.0


def test_they_are_written_when_they_are_of_many_leases(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_figures, "LEASES_MAX", 2)
    report(lease(), [success(0)])
    assert not WorkerMinute.objects.exists()
    report(lease(), [success(0)])
    assert shown()[0] == 2.0


def test_what_is_gone_or_can_not_be_written_is_dropped(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = submit("gone", keys(1), pipeline="p")
    token = worker.lease(worker="gpu-1").token
    report(token, [success(0)])
    delete(made.pk)
    prune(timedelta(0))
    worker_figures.gather(uuid4(), succeeded=1)
    write()
    assert not WorkerMinute.objects.exists()
    report(lease(), [success(0)])
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(worker_figures, "execute", unavailable)
        write()
    assert "figures of workers were lost, of 1 leases" in caplog.text
    write()
    assert not WorkerMinute.objects.exists()


def test_what_a_clock_that_was_ahead_has_left_is_not_shown(ledger_db: str, clock: Clock) -> None:
    token = lease()
    clock.forward(7_200)
    report(token, [broken(0, "ahead")])
    write()
    clock.forward(-7_200)
    assert shown() == (0.0, 0, None)


def test_a_worker_that_mostly_fails_is_a_gauge(ledger_db: str, clock: Clock) -> None:
    good, bad = lease(3, worker="good"), lease(3, worker="bad")
    report(good, [success(0), success(1), broken(2, "x")])
    report(bad, [success(0), broken(1, "x", retryable=True), broken(2, "x")])
    write()
    assert {one.name: one.value for one in gauges()}["failing_workers"] == 1

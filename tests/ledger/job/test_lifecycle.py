"""Start, pause, resume, cancel, retry, delete: when each is allowed, and its effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from joblot.errors import NotDurable, NotFound, WrongStatus
from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, start
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import MAY_SETTLE, Item, ItemRange, Job, Outcome, Tally, Uncounted
from joblot.models import Lease as LeaseRow
from joblot.states import TRANSITIONS, JobStatus, JobTransition
from joblot.wire import success
from joblot.words import quoted
from tests.ledger import worker
from tests.ledger.statuses import job_in
from tests.ledger.worker import counts, fail, keys, kinds, status, succeed

VERBS: dict[JobTransition, Callable[[int], Any]] = {
    JobTransition.START: start,
    JobTransition.PAUSE: pause,
    JobTransition.RESUME: resume,
    JobTransition.CANCEL: lambda job_id: cancel(job_id, grace_seconds=100),
    JobTransition.RETRY: lambda job_id: retry(job_id, start_now=False),
}
# Requesting the current state does nothing.
SO_ALREADY: dict[JobTransition, set[str]] = {
    JobTransition.START: {status.value for status in JobStatus} - {"CREATED"},
    JobTransition.PAUSE: {"PAUSED"},
    JobTransition.RESUME: {"PENDING", "STARTED"},
    JobTransition.CANCEL: {"CANCELING", "REVOKED"},
    JobTransition.RETRY: set(),
}


@pytest.mark.parametrize("wanted", JobStatus)
@pytest.mark.parametrize("event", VERBS)
def test_each_verb_in_each_status(ledger_db: str, event: JobTransition, wanted: JobStatus) -> None:
    job = job_in(wanted)
    before = Job.objects.get(pk=job.pk)
    targets = TRANSITIONS.get((wanted, event))
    if targets is None and wanted not in SO_ALREADY[event]:
        with pytest.raises(WrongStatus, match=f"is {quoted(wanted)}"):
            VERBS[event](job.pk)
    else:
        VERBS[event](job.pk)
    after = Job.objects.get(pk=job.pk)
    if targets is None:
        assert (after.status, after.version) == (before.status, before.version)
    elif event is JobTransition.CANCEL and wanted in ("CREATED", "PENDING"):
        assert after.status == "REVOKED"  # nothing is in flight, so there is nothing to wait for
    else:
        assert {after.status} == targets
        assert after.run == before.run + (event is JobTransition.RETRY)


@pytest.mark.parametrize("event", VERBS)
def test_each_verb_refuses_a_job_that_there_is_not(ledger_db: str, event: JobTransition) -> None:
    with pytest.raises(NotFound):
        VERBS[event](4711)
    with pytest.raises(NotFound):
        delete(4711)


@pytest.mark.parametrize("event", VERBS)
def test_each_verb_is_refused_inside_a_transaction(ledger_db: str, event: JobTransition) -> None:
    wanted = min(status for status, known in TRANSITIONS if known is event)
    job = job_in(wanted)
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable):
        VERBS[event](job.pk)
    assert status(job) == wanted


def test_a_job_created_now_is_started_later(ledger_db: str) -> None:
    job = submit("later", keys(2), pipeline="p", start=False)
    assert worker.nothing()
    assert Job.objects.get().started_at is None
    start(job.pk)
    worker.drain()
    assert kinds(job) == ["created", "started", "claimed", "finished"]


def test_results_count_while_a_job_is_paused_and_may_finish_it(ledger_db: str) -> None:
    job = submit("paused", keys(2), pipeline="p")
    lease = worker.lease()
    pause(job.pk)
    assert worker.nothing()
    assert succeed(lease, 0) == ["counted"]
    assert status(job) == "PAUSED"
    assert succeed(lease, 1) == ["counted"]
    assert status(job) == "SUCCESS"


def test_items_that_come_back_to_a_paused_job_wait_there(ledger_db: str) -> None:
    job = submit("paused", keys(2), pipeline="p", policy={"retry_backoff_seconds": 0})
    lease = worker.lease()
    pause(job.pk)
    assert fail(lease, 0, retryable=True) == ["requeued"]
    expire(lease.token)
    assert worker.nothing()
    resume(job.pk)
    worker.drain()
    assert status(job) == "SUCCESS"


def test_a_job_paused_before_its_first_lease_counts_as_started_when_resumed(
    ledger_db: str,
) -> None:
    job = submit("paused", keys(1), pipeline="p")
    pause(job.pk)
    assert resume(job.pk).status == "STARTED"
    assert Job.objects.get().started_at is not None
    assert kinds(job) == ["started", "paused", "resumed"]


# Cancel


def test_a_cancel_with_grace_lets_leases_in_flight_report(ledger_db: str, clock: Any) -> None:
    job = submit("cancel", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    assert cancel(job.pk, grace_seconds=10).status == "CANCELING"
    assert worker.nothing()
    assert succeed(lease, 0) == ["counted"]
    clock.forward(9)
    sweep()
    assert status(job) == "CANCELING"
    clock.forward(1)
    sweep()
    assert status(job) == "REVOKED"
    assert succeed(lease, 1) == ["late"]
    stage = progress(job.pk)["stages"][0]
    assert (stage["succeeded"], stage["cancelled"], stage["ready"], stage["in_flight"]) == (
        1,
        3,
        0,
        0,
    )
    assert kinds(job) == ["started", "claimed", "canceling", "finished"]


def test_a_cancel_ends_at_once_when_nothing_is_in_flight_any_more(
    ledger_db: str, clock: Any
) -> None:
    job = submit("cancel", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    cancel(job.pk, grace_seconds=1000)
    succeed(lease)
    sweep()
    assert status(job) == "REVOKED"
    assert counts(job) == {"succeeded": 2}


@pytest.mark.parametrize("attempt", range(5))
def test_a_cancel_without_grace_is_over_when_it_returns(ledger_db: str, attempt: int) -> None:
    job = submit("cancel", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    succeed(lease, 0)
    assert cancel(job.pk, grace_seconds=0).status == "REVOKED"
    assert cancel(job.pk).status == "REVOKED"
    assert succeed(lease, 1) == ["late"]
    assert counts(job) == {"succeeded": 1}


def test_the_grace_is_the_policys_and_a_second_cancel_may_shorten_it(
    ledger_db: str, clock: Any
) -> None:
    job = submit("cancel", keys(2), pipeline="p", policy={"cancel_grace_seconds": 30})
    worker.lease(limit=1)
    cancel(job.pk)
    clock.forward(29)
    sweep()
    assert status(job) == "CANCELING"
    assert cancel(job.pk, grace_seconds=0).status == "REVOKED"


def test_a_second_cancel_never_postpones_the_end(ledger_db: str, clock: Any) -> None:
    job = submit("cancel", keys(2), pipeline="p")
    worker.lease(limit=1)
    cancel(job.pk, grace_seconds=30)

    def seconds_left() -> float:
        closes_at = Job.objects.get().cancel_closes_at
        assert closes_at
        return float((closes_at - clock.now).total_seconds())

    cancel(job.pk, grace_seconds=60)
    cancel(job.pk)
    assert seconds_left() == 30
    cancel(job.pk, grace_seconds=20)
    assert seconds_left() == 20
    assert kinds(job) == ["started", "claimed", "canceling"]


def test_while_canceling_failures_count_and_retryable_ones_go_nowhere(
    ledger_db: str, clock: Any
) -> None:
    job = submit("cancel", keys(4), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=10)
    assert fail(lease, 0) == ["counted"]
    assert fail(lease, 1, retryable=True) == ["requeued"]
    assert worker.nothing()
    expire(lease.token)
    sweep()
    assert status(job) == "REVOKED"
    assert counts(job) == {"failed": 1}
    retry(job.pk)
    worker.drain()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 4})


def test_a_late_success_is_kept_once_and_shown_as_finished_after_cancel(ledger_db: str) -> None:
    job = submit("cancel", keys(2), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    for _ in range(3):
        (answer,) = report(lease.token, [success(0, {"kept": True})])
        assert (answer.receipt, answer.reason) == ("late", "the job was cancelled")
    assert fail(lease, 1) == ["late"]
    assert progress(job.pk)["finished_after_cancel"] == 1
    (kept,) = Uncounted.objects.all()
    assert (kept.number, kept.output) == (0, {"kept": True})


def test_cancelling_a_million_items_touches_none_of_them(ledger_db: str) -> None:
    """Canceled items are derived: no row is written for them."""
    job = submit("cancel", keys(500), pipeline="p")
    cancel(job.pk, grace_seconds=0)
    assert progress(job.pk)["stages"][0]["cancelled"] == 500
    assert not Outcome.objects.exists()
    assert not Tally.objects.exists()
    assert not ItemRange.objects.exists()


# Delete


def test_the_row_of_an_item_is_never_updated(ledger_db: str) -> None:
    """Settled, failed, given back, given up, canceled or reopened: other rows record that."""
    versions = ", xmin::text" if connections[ledger_db].vendor == "postgresql" else ""

    def rows() -> list[Any]:
        with connections[ledger_db].cursor() as cursor:
            cursor.execute(f"SELECT *{versions} FROM joblot_item ORDER BY number")
            return list(cursor.fetchall())

    policy = {"retry_backoff_seconds": 0, "expiries_max": 1}
    job = submit("whole", keys(6), pipeline="p", policy=policy)
    before = rows()
    assert len(before) == 6
    first = worker.lease(limit=4)
    succeed(first, 0)
    fail(first, 1)
    fail(first, 2, retryable=True)
    expire(first.token)
    fail(worker.lease(limit=1))
    cancel(job.pk, grace_seconds=0)
    sweep()
    retry(job.pk)
    worker.drain()
    sweep()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 6})
    assert rows() == before


@pytest.mark.parametrize("wanted", JobStatus)
def test_a_deleted_job_is_gone_whatever_its_status(ledger_db: str, wanted: JobStatus) -> None:
    job = job_in(wanted)
    delete(job.pk)
    for verb in (progress, items, delete, start, cancel, retry):
        with pytest.raises(NotFound):
            verb(job.pk)
    assert worker.nothing()
    assert not LeaseRow.objects.filter(MAY_SETTLE).exists()
    sweep()
    assert not Item.objects.exists()


@pytest.mark.parametrize("wanted", ["STARTED", "FAILURE", "REVOKED"])
def test_late_results_of_a_deleted_job_are_told_so(ledger_db: str, wanted: str) -> None:
    job = submit("delete", keys(2), pipeline="p")
    lease = worker.lease()
    if wanted == "FAILURE":
        fail(lease)
    if wanted == "REVOKED":
        cancel(job.pk, grace_seconds=0)
    delete(job.pk)
    (answer,) = report(lease.token, [success(0)])
    assert (answer.receipt, answer.reason) == ("late", "the job was deleted")


def test_the_sweep_purges_a_deleted_job_and_late_results_still_get_an_answer(
    ledger_db: str,
) -> None:
    job = submit("delete", keys(3), pipeline="p")
    other = submit("stays", keys(3), pipeline="p")
    lease = worker.lease(job=job.pk)
    succeed(lease, 0)
    delete(job.pk)
    sweep()
    assert not Tally.objects.filter(job_id=job.pk).exists()
    for _ in range(2):
        sweep()
        assert not Item.objects.filter(job_id=job.pk).exists()
        assert not Outcome.objects.filter(job_id=job.pk).exists()
        assert succeed(lease, 1) == ["late"]
    assert fail(lease, 2) == ["late"]
    worker.drain()
    assert status(other) == "SUCCESS"
    assert reconcile(other.pk) == "SUCCESS"

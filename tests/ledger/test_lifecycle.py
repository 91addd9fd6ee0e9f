"""Start, pause, resume, cancel, retry, delete: what is allowed when, and what each leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from joblot import faults
from joblot.errors import NotDurable, NotFound, WrongStatus
from joblot.ledger.items import items
from joblot.ledger.leases import expire
from joblot.ledger.lifecycle import cancel, delete, pause, resume, retry, start
from joblot.ledger.look import look
from joblot.ledger.progress import progress
from joblot.ledger.settle import report
from joblot.ledger.submit import add_items, submit
from joblot.ledger.sweep import sweep
from joblot.models import Attempt, Item, ItemRange, Job, Outcome, Tally, Uncounted
from joblot.models import Lease as LeaseRow
from joblot.states import TRANSITIONS, JobEvent, JobStatus, LeaseState
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, status, succeed


class Cut(Exception):
    """The process dies here."""


def die() -> None:
    raise Cut


def job_in(wanted: JobStatus) -> Job:
    """A job of two items in this status."""
    job = submit("one", keys(2), pipeline="p", start=wanted != "CREATED")
    if wanted in ("CREATED", "PENDING"):
        return job
    lease = worker.lease(limit=1)
    if wanted == "PAUSED":
        pause(job.pk)
    if wanted in ("CANCELING", "REVOKED"):
        cancel(job.pk, grace_seconds=100 if wanted == "CANCELING" else 0)
    if wanted in ("SUCCESS", "COMPLETED_WITH_ERRORS"):
        succeed(lease)
        (succeed if wanted == "SUCCESS" else fail)(worker.lease())
    if wanted == "FAILURE":
        fail(lease)
        fail(worker.lease())
    assert status(job) == wanted
    return job


VERBS: dict[JobEvent, Callable[[int], Any]] = {
    JobEvent.START: start,
    JobEvent.PAUSE: pause,
    JobEvent.RESUME: resume,
    JobEvent.CANCEL: lambda job_id: cancel(job_id, grace_seconds=100),
    JobEvent.RETRY: lambda job_id: retry(job_id, start_now=False),
}
# Asking for what is so already does nothing.
SO_ALREADY: dict[JobEvent, set[str]] = {
    JobEvent.START: {status.value for status in JobStatus} - {"CREATED"},
    JobEvent.PAUSE: {"PAUSED"},
    JobEvent.RESUME: {"PENDING", "STARTED"},
    JobEvent.CANCEL: {"CANCELING", "REVOKED"},
    JobEvent.RETRY: set(),
}


@pytest.mark.parametrize("wanted", JobStatus)
@pytest.mark.parametrize("event", VERBS)
def test_each_verb_in_each_status(ledger_db: str, event: JobEvent, wanted: JobStatus) -> None:
    job = job_in(wanted)
    before = Job.objects.get(pk=job.pk)
    targets = TRANSITIONS.get((wanted, event))
    if targets is None and wanted not in SO_ALREADY[event]:
        with pytest.raises(WrongStatus, match=f"is {wanted}"):
            VERBS[event](job.pk)
    else:
        VERBS[event](job.pk)
    after = Job.objects.get(pk=job.pk)
    if targets is None:
        assert (after.status, after.version) == (before.status, before.version)
    elif event is JobEvent.CANCEL and wanted in ("CREATED", "PENDING"):
        assert after.status == "REVOKED"  # nothing is in flight, so there is nothing to wait for
    else:
        assert {after.status} == targets
        assert after.run == before.run + (event is JobEvent.RETRY)


@pytest.mark.parametrize("event", VERBS)
def test_each_verb_refuses_a_job_that_there_is_not(ledger_db: str, event: JobEvent) -> None:
    with pytest.raises(NotFound):
        VERBS[event](4711)
    with pytest.raises(NotFound):
        delete(4711)


@pytest.mark.parametrize("event", VERBS)
def test_each_verb_is_refused_inside_a_transaction(ledger_db: str, event: JobEvent) -> None:
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
    assert kinds(job) == ["created", "pending", "started", "finished"]


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
    assert kinds(job) == ["pending", "paused", "resumed"]


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
    assert kinds(job) == ["pending", "started", "canceling", "finished"]


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


def test_a_late_success_is_kept_once_and_told_as_finished_after_cancel(ledger_db: str) -> None:
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
    """Cancelled items are derived: no row is written for them."""
    job = submit("cancel", keys(500), pipeline="p")
    cancel(job.pk, grace_seconds=0)
    assert progress(job.pk)["stages"][0]["cancelled"] == 500
    assert not Outcome.objects.exists()
    assert not Tally.objects.exists()
    assert not ItemRange.objects.exists()


# Retry


def test_a_retry_works_only_what_did_not_succeed(ledger_db: str) -> None:
    job = submit("retry", keys(6), pipeline="p", policy={"expiries_max": 1})
    lease = worker.lease(limit=4)
    succeed(lease, 0, 1, output="first run")
    fail(lease, 2)
    expire(lease.token)
    while leases := [worker.lease()]:
        if 3 in worker.numbers(leases[0]):
            expire(leases[0].token)
            if counts(job).get("lost"):
                break
        else:
            succeed(leases[0])
    worker.drain()
    assert counts(job) == {"succeeded": 4, "failed": 1, "lost": 1}
    assert status(job) == "COMPLETED_WITH_ERRORS"
    before = Job.objects.get()
    job = retry(job.pk)
    assert (job.run, job.status, job.revision, job.recorded) == (2, "PENDING", 0, None)
    assert (job.started_at, job.finished_at) == (None, None)
    assert counts(job) == {"succeeded": 4}
    again = worker.lease()
    assert [(item.id, item.attempt) for item in again.items] == [(2, 1), (3, 1)]
    assert (again.run, before.run) == (2, 1)
    succeed(again, output="second run")
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 6})
    assert kinds(job).count("finished") == 2
    assert [o.run for o in Outcome.objects.order_by("number")][:4] == [1, 1, 2, 2]


def test_why_the_earlier_run_gave_up_is_kept(ledger_db: str) -> None:
    job = submit("retry", keys(1), pipeline="p")
    fail(worker.lease())
    retry(job.pk)
    (item,) = items(job.pk)
    assert item["state"] == "open"
    assert [(a["cause"], a["run"], a["error"]["type"]) for a in item["attempts"]] == [
        ("failed", 1, "Bad")
    ]
    assert Attempt.objects.count() == 1


def test_a_retry_of_a_cancelled_job_works_what_was_cancelled(ledger_db: str) -> None:
    job = submit("retry", keys(6), pipeline="p")
    lease = worker.lease(limit=3)
    succeed(lease, 0)
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    fresh = worker.lease()
    assert worker.numbers(fresh) == [1, 2, 3, 4, 5]
    (answer,) = report(lease.token, [success(1)])
    assert (answer.receipt, answer.reason) == ("late", "run 1 is over; the job is in run 2")
    assert succeed(lease, 0) == ["duplicate"]
    succeed(fresh)
    assert succeed(lease, 2, output="other") == ["conflicting"]
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 6})


def test_a_retry_reopens_each_item_in_the_stage_that_gave_it_up(ledger_db: str) -> None:
    job = submit("retry", keys(4), stages=TWO_STAGES)
    lease = worker.lease("p")
    fail(lease, 0)
    succeed(lease, 1, 2, 3, output="read")
    lease = worker.lease("q")
    fail(lease, 1)
    succeed(lease, 2)
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    assert [counts(job, n) for n in (0, 1)] == [{"succeeded": 3}, {"succeeded": 1}]
    second = worker.lease("q")
    assert [(item.id, item.input) for item in second.items] == [(1, "read"), (3, "read")]
    first = worker.lease("p")
    assert worker.numbers(first) == [0]
    succeed(second)
    succeed(first)
    succeed(worker.lease("q"))
    assert status(job) == "SUCCESS"
    assert [counts(job, n) for n in (0, 1)] == [{"succeeded": 4}] * 2


def test_a_budget_used_up_in_one_run_is_whole_in_the_next(ledger_db: str) -> None:
    policy = {"failures_max": 2, "retry_backoff_seconds": 0}
    job = submit("retry", keys(1), pipeline="p", policy=policy)
    for _ in range(2):
        assert fail(worker.lease(), retryable=True) == ["requeued"]
        assert fail(worker.lease(), retryable=True) == ["counted"]
        retry(job.pk)
    assert Job.objects.get().run == 3


def test_metrics_of_what_succeeded_stay_over_a_retry(ledger_db: str) -> None:
    job = submit("retry", keys(2), pipeline="p")
    lease = worker.lease()
    report(lease.token, [success(0, metrics={"bytes": 5})])
    fail(lease, 1)
    retry(job.pk)
    report(worker.lease().token, [success(1, metrics={"bytes": 7})])
    assert worker.metrics(job) == {"bytes": 12}


def test_the_config_is_pinned_for_a_run(ledger_db: str) -> None:
    job = submit("retry", keys(2), pipeline="p", config={"model": 1})
    lease = worker.lease(limit=1)
    assert lease.config == {"model": 1}
    fail(lease)
    fail(worker.lease())
    retry(job.pk)
    assert worker.lease(limit=1).config == {"model": 1}
    cancel(job.pk, grace_seconds=0)
    retry(job.pk, config={"model": 2})
    assert worker.lease().config == {"model": 2}
    assert Job.objects.get().run == 3


def test_a_retry_may_wait_to_be_started(ledger_db: str) -> None:
    job = job_in(JobStatus.FAILURE)
    job = retry(job.pk, start_now=False)
    assert (job.status, job.run) == ("CREATED", 2)
    assert worker.nothing()
    start(job.pk)
    worker.drain()
    assert status(job) == "SUCCESS"


def test_a_retry_with_nothing_left_to_do_finishes_at_once(ledger_db: str) -> None:
    """Cancelled when all its items had succeeded, but it was still open."""
    job = submit("open", keys(2), pipeline="p", seal=False)
    worker.drain()
    cancel(job.pk, grace_seconds=0)
    job = retry(job.pk)
    assert (job.status, job.run) == ("PENDING", 2)
    from joblot.ledger.submit import seal

    assert seal(job.pk).status == "SUCCESS"


@pytest.mark.parametrize("goes_on", ["retry", "start", "sweep"])
def test_a_retry_whose_process_died_is_gone_on_with(ledger_db: str, goes_on: str) -> None:
    job = job_in(JobStatus.FAILURE)
    with faults.armed("retry: next run begun", die), pytest.raises(Cut):
        retry(job.pk)
    assert (status(job), Job.objects.get().run) == ("CREATED", 2)
    assert worker.nothing()
    with pytest.raises(WrongStatus):
        add_items(job.pk, ["not now"])
    {"retry": retry, "start": start, "sweep": lambda _: sweep()}[goes_on](job.pk)
    assert Job.objects.get().run == 2
    assert sorted(worker.numbers(worker.lease())) == [0, 1]
    assert status(job) == "STARTED"


def test_a_retry_that_died_between_chunks_does_each_chunk_once(
    ledger_db: str, configure: Any, in_thread: Any
) -> None:
    configure(reopen_chunk_items=3)
    job = submit("chunks", keys(10), stages=TWO_STAGES)
    lease = worker.lease("p")
    fail(lease, 0, 4, 8)
    succeed(lease, *[n for n in range(10) if n % 4])
    lease = worker.lease("q")
    fail(lease, 1, 9)
    succeed(lease, *[n for n in worker.numbers(lease) if n not in (1, 9)])
    assert status(job) == "COMPLETED_WITH_ERRORS"
    from joblot.ledger import reopen

    with faults.armed("retry: next run begun", die), pytest.raises(Cut):
        retry(job.pk)
    for _ in range(3):  # the process dies after each of these
        assert reopen._reopen_chunk(job.pk, 2)
    assert status(job) == "CREATED"
    retry(job.pk)
    assert sorted(worker.numbers(worker.lease("p"))) == [0, 4, 8]
    assert sorted(worker.numbers(worker.lease("q"))) == [1, 9]


def test_a_success_through_the_earlier_run_does_not_settle_what_is_being_reopened(
    ledger_db: str,
) -> None:
    job = submit("retry", keys(2), pipeline="p", policy={"expiries_max": 1})
    stale = worker.lease(limit=1)
    expire(stale.token)
    fail(worker.lease(limit=1))
    fail(worker.lease(limit=1))
    assert status(job) == "FAILURE"
    retry(job.pk)
    assert succeed(stale) == ["late"]
    assert counts(job) == {}
    assert LeaseRow.objects.get(pk=stale.token).state == LeaseState.CLOSED


def test_a_job_cancelled_while_it_is_reopened_can_be_retried(ledger_db: str) -> None:
    job = job_in(JobStatus.FAILURE)
    with faults.armed("retry: next run begun", die), pytest.raises(Cut):
        retry(job.pk)
    assert cancel(job.pk, grace_seconds=0).status == "REVOKED"
    sweep()
    assert status(job) == "REVOKED"
    job = retry(job.pk)
    assert (job.status, job.run) == ("PENDING", 3)
    worker.drain()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 2})


# Delete


@pytest.mark.parametrize("wanted", JobStatus)
def test_a_deleted_job_is_gone_whatever_its_status(ledger_db: str, wanted: JobStatus) -> None:
    job = job_in(wanted)
    delete(job.pk)
    for verb in (progress, items, delete, start, cancel, retry):
        with pytest.raises(NotFound):
            verb(job.pk)
    assert worker.nothing()
    assert not LeaseRow.objects.exclude(state=LeaseState.CLOSED).exists()
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
    for _ in range(2):
        sweep()
        assert not Item.objects.filter(job_id=job.pk).exists()
        assert not Outcome.objects.filter(job_id=job.pk).exists()
        assert not Tally.objects.filter(job_id=job.pk).exists()
        assert succeed(lease, 1) == ["late"]
    assert fail(lease, 2) == ["late"]
    worker.drain()
    assert status(other) == "SUCCESS"
    assert look(other.pk) == "SUCCESS"

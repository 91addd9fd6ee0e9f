"""Retry: the next run, with only the items that did not succeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot import faults
from joblot.errors import WrongStatus
from joblot.ledger.job.lifecycle import cancel, start
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Attempt, ItemRange, Job, Outcome
from joblot.models import Lease as LeaseRow
from joblot.states import JobStatus, LeaseState
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.statuses import Cut, die, job_in
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, status, succeed


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
    """The job was canceled when all its items had succeeded, but it was still open."""
    job = submit("open", keys(2), pipeline="p", seal=False)
    worker.drain()
    cancel(job.pk, grace_seconds=0)
    job = retry(job.pk)
    assert (job.status, job.run) == ("PENDING", 2)
    from joblot.ledger.submit.submit import seal

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
    how: dict[str, Callable[[int], object]] = {
        "retry": retry,
        "start": start,
        "sweep": lambda _: sweep(),
    }
    how[goes_on](job.pk)
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
    from joblot.ledger.job import reopen

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


def test_what_a_retry_reopens_is_cut_so_that_claimers_do_not_meet(
    ledger_db: str, configure: Any
) -> None:
    configure(range_items_max=10)
    job = submit("hundred", keys(100), pipeline="p")
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    sizes = [one.last - one.next + 1 for one in ItemRange.objects.all()]
    assert sizes == [10] * 10

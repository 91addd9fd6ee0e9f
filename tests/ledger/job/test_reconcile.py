"""Reconcile: how a run ends, who ends it, and what an amendment changes afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from joblot import faults
from joblot.ledger.job.lifecycle import cancel, pause, start
from joblot.ledger.job.reconcile import reconcile, write
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.rows.due import Counts, JobSnapshot, decide, read_snapshot
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from joblot.states import FINALIZABLE, JobStatus
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, revision, status, succeed


class Cut(Exception):
    """The reporting process dies here."""


def die() -> None:
    raise Cut


def seen(status: JobStatus, *stages: Counts, **changes: Any) -> JobSnapshot:
    given: dict[str, Any] = {
        "job_id": 1,
        "version": 7,
        "run": 1,
        "revision": 1,
        "status": status,
        "sealed": True,
        "total": 2,
        "recorded": None,
        "failure_threshold": 0.5,
        "drained": False,
        "stages": stages,
        "names": tuple(f"s{n}" for n, _ in enumerate(stages)),
    }
    return JobSnapshot(**given | changes)


@pytest.mark.parametrize("status", JobStatus)
def test_only_a_finalizable_job_whose_items_are_all_settled_is_finished(
    status: JobStatus,
) -> None:
    whole, part = Counts(succeeded=1, failed=1), Counts(succeeded=1)
    recorded = [{"succeeded": 1, "failed": 1, "lost": 0, "skipped": 0}]
    due = decide(seen(status, whole, recorded=recorded))
    assert (due is not None) == (status in FINALIZABLE)
    assert decide(seen(status, whole, recorded=recorded, sealed=False)) is None
    if status in FINALIZABLE:
        assert decide(seen(status, part)) is None
        assert decide(seen(status, whole, part)) is None


def test_a_cancel_ends_when_it_is_drained_only() -> None:
    assert decide(seen(JobStatus.CANCELING, Counts(succeeded=2))) is None
    due = decide(seen(JobStatus.CANCELING, Counts(), drained=True, sealed=False))
    assert due is not None
    assert (due.kind, due.status) == ("finished", "REVOKED")


def test_an_amendment_is_due_when_the_counts_are_not_those_recorded() -> None:
    recorded = [{"succeeded": 1, "failed": 1, "lost": 0, "skipped": 0}]
    counted = Counts(succeeded=2)
    due = decide(seen(JobStatus.COMPLETED_WITH_ERRORS, counted, recorded=recorded, revision=3))
    assert due is not None
    assert (due.kind, due.status, due.revision) == ("amended", "SUCCESS", 4)
    for final in (JobStatus.REVOKED, JobStatus.SUCCESS):
        assert decide(seen(final, counted, recorded=recorded)) is None


# Jobs without items


def test_a_job_without_items_succeeds_when_it_is_submitted(ledger_db: str) -> None:
    job = submit("empty", [], pipeline="p")
    assert job.status == "SUCCESS"
    assert kinds(job) == ["started", "finished"]
    assert progress(job.pk)["percent"] == 100


def test_a_job_without_items_and_with_many_stages_succeeds(ledger_db: str) -> None:
    assert submit("empty", [], stages=TWO_STAGES).status == "SUCCESS"


def test_an_open_job_without_items_waits_until_it_is_sealed(ledger_db: str) -> None:
    job = submit("empty", [], pipeline="p", seal=False)
    sweep()
    assert status(job) == "PENDING"
    assert add_items(job.pk, []) == 0
    assert seal(job.pk).status == "SUCCESS"


def test_a_job_without_items_created_now_succeeds_when_it_is_started(ledger_db: str) -> None:
    job = submit("empty", [], pipeline="p", start=False)
    sweep()
    assert status(job) == "CREATED"
    assert start(job.pk).status == "SUCCESS"


def test_a_job_without_items_started_then_sealed_while_paused_succeeds(ledger_db: str) -> None:
    job = submit("empty", [], pipeline="p", seal=False)
    pause(job.pk)
    assert seal(job.pk).status == "SUCCESS"


def test_a_job_without_items_is_cancelled_and_retried(ledger_db: str) -> None:
    job = submit("empty", [], pipeline="p", start=False)
    assert cancel(job.pk).status == "REVOKED"
    assert retry(job.pk).status == "SUCCESS"
    assert Job.objects.get().run == 2


# The verdict


@pytest.mark.parametrize(
    ("threshold", "failures", "expected"),
    [
        (0.5, 0, "SUCCESS"),
        (0.5, 2, "COMPLETED_WITH_ERRORS"),
        (0.5, 3, "FAILURE"),
        (0, 1, "FAILURE"),
        (1, 4, "COMPLETED_WITH_ERRORS"),
        (0.25, 1, "COMPLETED_WITH_ERRORS"),
        (0.2499, 1, "FAILURE"),
    ],
)
def test_the_threshold_of_failure(
    ledger_db: str, threshold: float, failures: int, expected: str
) -> None:
    policy = {"failure_threshold": threshold}
    job = submit("verdict", keys(4), pipeline="p", policy=policy)
    lease = worker.lease()
    for number in range(4):
        (fail if number < failures else succeed)(lease, number)
    assert status(job) == expected


def test_the_verdict_is_of_the_last_stage(ledger_db: str) -> None:
    """Each stage lost less than the threshold, but all of them together more."""
    job = submit("verdict", keys(5), stages=TWO_STAGES)
    lease = worker.lease("p")
    fail(lease, 0, 1)
    succeed(lease, 2, 3, 4)
    lease = worker.lease("q")
    fail(lease, 2)
    succeed(lease, 3, 4)
    assert status(job) == "FAILURE"


# The event


def test_the_event_of_a_finish_has_its_counts(ledger_db: str) -> None:
    job = submit("told", keys(3), stages=TWO_STAGES)
    lease = worker.lease("p")
    fail(lease, 0)
    succeed(lease, 1, 2)
    succeed(worker.lease("q"))
    finished = events(job.pk)[-1]
    assert (finished["kind"], finished["run"], finished["revision"]) == ("finished", 1, 1)
    assert finished["data"] == {
        "status": "COMPLETED_WITH_ERRORS",
        "total": 3,
        "stages": [
            {"name": "read", "succeeded": 2, "failed": 1, "lost": 0, "skipped": 0},
            {"name": "save", "succeeded": 2, "failed": 0, "lost": 0, "skipped": 1},
        ],
    }
    assert Job.objects.get().finished_at is not None


def test_a_job_finishes_once_however_often_it_is_reconciled(ledger_db: str) -> None:
    job = submit("once", keys(1), pipeline="p")
    worker.drain()
    version = Job.objects.get().version
    for _ in range(3):
        assert reconcile(job.pk) == "SUCCESS"
        sweep()
    assert kinds(job).count("finished") == 1
    assert Job.objects.get().version == version


def test_a_missing_job_is_not_reconciled(ledger_db: str) -> None:
    assert reconcile(4711) is None


def test_what_was_decided_before_a_change_is_not_written_after_it(ledger_db: str) -> None:
    job = submit("stale", keys(1), pipeline="p", seal=False)
    worker.drain()
    with faults.armed("report: committed, not looked", lambda: None):
        stale = read_snapshot(job.pk)
    assert stale is not None
    pause(job.pk)
    from dataclasses import replace

    due = decide(replace(stale, sealed=True))
    assert due is not None
    assert write(stale, due) is False
    assert status(job) == "PAUSED"
    assert kinds(job)[-1] == "paused"


def test_the_sweep_finishes_what_a_reporter_that_died_has_left(ledger_db: str) -> None:
    job = submit("left", keys(1), pipeline="p")
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        worker.drain()
    state = progress(job.pk)
    assert (state["status"], state["finishing"], state["percent"]) == ("STARTED", True, 100)
    sweep()
    assert status(job) == "SUCCESS"
    assert kinds(job).count("finished") == 1


def test_a_repeat_of_the_report_finishes_too(ledger_db: str) -> None:
    job = submit("left", keys(1), pipeline="p")
    lease = worker.lease()
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        succeed(lease)
    assert succeed(lease) == ["duplicate"]
    assert status(job) == "SUCCESS"


# Amendments


def lost_two_of_four() -> tuple[Job, Any]:
    job = submit("amend", keys(4), pipeline="p", policy={"expiries_max": 1})
    lease = worker.lease(limit=2)
    expire(lease.token)
    for _ in range(4):
        again = worker.lease(limit=2)
        if set(worker.numbers(again)) & {0, 1}:
            expire(again.token)
        else:
            succeed(again)
    assert counts(job) == {"succeeded": 2, "lost": 2}
    return job, lease


def test_an_amendment_improves_a_final_report_and_is_published_once(ledger_db: str) -> None:
    job, lease = lost_two_of_four()
    assert (status(job), revision(job)) == ("COMPLETED_WITH_ERRORS", 1)
    assert succeed(lease, 0) == ["amended"]
    assert (status(job), revision(job)) == ("COMPLETED_WITH_ERRORS", 2)
    assert counts(job) == {"succeeded": 3, "lost": 1}
    assert succeed(lease, 0) == ["duplicate"]
    assert succeed(lease, 1) == ["amended"]
    assert (status(job), revision(job)) == ("SUCCESS", 3)
    amended = [event for event in events(job.pk) if event["kind"] == "amended"]
    assert [event["revision"] for event in amended] == [2, 3]
    assert [event["data"]["stages"][0]["lost"] for event in amended] == [1, 0]
    assert [event["data"]["status"] for event in amended] == ["COMPLETED_WITH_ERRORS", "SUCCESS"]
    assert kinds(job).count("finished") == 1


def test_the_time_of_the_finish_stays_through_an_amendment(ledger_db: str, clock: Any) -> None:
    job = submit("amend", keys(1), pipeline="p")
    lease = worker.lease()
    fail(lease)
    finished = Job.objects.get().finished_at
    clock.forward(100)
    succeed(lease)
    assert Job.objects.get().finished_at == finished is not None
    assert revision(job) == 2


def test_a_failure_becomes_better_by_an_amendment(ledger_db: str) -> None:
    job = submit("amend", keys(4), pipeline="p")
    lease = worker.lease()
    fail(lease)
    assert status(job) == "FAILURE"
    succeed(lease, 0)
    assert status(job) == "FAILURE"
    succeed(lease, 1)
    assert status(job) == "COMPLETED_WITH_ERRORS"
    succeed(lease, 2, 3)
    assert status(job) == "SUCCESS"
    assert [event["revision"] for event in events(job.pk)] == [0, 0, 1, 2, 3, 4]


def test_the_sweep_publishes_an_amendment_that_a_dead_reporter_has_left(ledger_db: str) -> None:
    job, lease = lost_two_of_four()
    sweep()
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        succeed(lease, 0)
    assert revision(job) == 1
    sweep()
    assert (revision(job), kinds(job)[-1]) == (2, "amended")


def test_an_amendment_after_a_retry_is_late_and_changes_no_report(ledger_db: str) -> None:
    job, lease = lost_two_of_four()
    retry(job.pk)
    assert succeed(lease, 0) == ["late"]
    worker.drain()
    assert (status(job), revision(job)) == ("SUCCESS", 1)

"""The event `failing`, for a run in which too many items failed: once, and before its end."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from joblot import faults
from joblot.errors import InvalidPolicy
from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.job.reconcile import write
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.read.history import events
from joblot.ledger.rows.due import Counts, decide, read_snapshot
from joblot.ledger.rows.job import record_event
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Job
from joblot.states import FINALIZABLE, JobStatus
from tests.ledger import worker
from tests.ledger.job.test_reconcile import Cut, die, seen
from tests.ledger.worker import TWO_STAGES, fail, keys, kinds, status, succeed

ALERT = {"alert_failed_items": 1}


def failing(job: Job) -> list[dict[str, Any]]:
    return [event for event in events(job.pk) if event["kind"] == "failing"]


@pytest.mark.parametrize("job_status", JobStatus)
def test_it_is_due_while_the_run_goes_on(job_status: JobStatus) -> None:
    bad = seen(job_status, Counts(failed=1), Counts(lost=1), alert_failed_items=1, sealed=False)
    due = decide(bad)
    assert (due is not None and due.kind == "failing") == (job_status in FINALIZABLE)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"alert_failed_items": 2}, Counts(failed=1, lost=1)),
        ({"alert_failed_items": None}, Counts(failed=2)),
        ({"alert_failed_items": 1, "alerted": True}, Counts(failed=2)),
        ({"alert_failed_items": 0}, Counts(succeeded=1, skipped=1)),
    ],
)
def test_it_is_not_due_otherwise(changes: dict[str, Any], counts: Counts) -> None:
    assert decide(seen(JobStatus.STARTED, counts, sealed=False, **changes)) is None


def test_one_failure_more_than_the_policy_allows_is_alerted_once(ledger_db: str) -> None:
    job = submit("night", keys(6), pipeline="p", policy=ALERT)
    lease = worker.lease()
    fail(lease, 0)
    fail(lease, 0)
    assert failing(job) == []
    fail(lease, 1)
    (alert,) = failing(job)
    assert (alert["run"], alert["revision"]) == (1, 0)
    assert alert["data"]["status"] == "STARTED"
    assert alert["data"]["total"] == 6
    assert alert["data"]["stages"][0]["failed"] == 2
    fail(lease, 2, 3)
    succeed(lease, 4, 5)
    assert kinds(job)[-2:] == ["failing", "finished"]
    assert len(failing(job)) == 1


def test_a_run_whose_last_failure_is_one_too_many_is_alerted_before_its_end(ledger_db: str) -> None:
    job = submit("night", keys(2), pipeline="p", policy=ALERT)
    fail(worker.lease())
    assert kinds(job) == ["started", "claimed", "failing", "finished"]


def test_failures_of_all_stages_and_lost_items_add_up(ledger_db: str, caches_kept: None) -> None:
    job = submit("night", keys(3), stages=TWO_STAGES, policy=ALERT | {"expiries_max": 1})
    lease = worker.lease("p")
    fail(lease, 0)
    succeed(lease, 1, 2)
    assert failing(job) == []
    expire(worker.lease("q", limit=1).token)
    expire(worker.lease("q", limit=1).token)
    (alert,) = failing(job)
    assert [stage["failed"] + stage["lost"] for stage in alert["data"]["stages"]] == [1, 1]


def test_each_run_is_alerted(ledger_db: str) -> None:
    job = submit("night", keys(2), pipeline="p", policy=ALERT)
    fail(worker.lease())
    retry(job.pk)
    fail(worker.lease())
    assert [alert["run"] for alert in failing(job)] == [1, 2]
    assert kinds(job).count("finished") == 2


def test_it_is_alerted_while_paused_and_not_while_it_is_cancelled(ledger_db: str) -> None:
    paused, canceled = (submit("n", keys(3), pipeline=p, policy=ALERT) for p in "pq")
    leases = [worker.lease("p"), worker.lease("q")]
    pause(paused.pk)
    cancel(canceled.pk, grace_seconds=100)
    for lease in leases:
        fail(lease, 0, 1)
    assert (len(failing(paused)), len(failing(canceled))) == (1, 0)
    cancel(canceled.pk, grace_seconds=0)


def test_of_two_concurrent_alerts_one_is_written(ledger_db: str) -> None:
    """Both read the job before either writes."""
    job = submit("night", keys(3), pipeline="p", policy=ALERT)
    lease = worker.lease()
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        fail(lease, 0, 1)
    both = [read_snapshot(job.pk), read_snapshot(job.pk)]
    written = [write(one, decide(one)) for one in both if one]  # type: ignore[arg-type]
    assert written == [True, False]
    later = read_snapshot(job.pk)
    assert later is not None
    assert (later.alerted, decide(later)) == (True, None)
    succeed(lease, 2)
    assert (status(job), len(failing(job))) == ("FAILURE", 1)


def test_the_database_takes_no_second_one_of_a_run(ledger_db: str) -> None:
    job = submit("night", keys(2), pipeline="p", policy=ALERT)
    fail(worker.lease())
    with pytest.raises(IntegrityError), transaction.atomic(using=ledger_db):
        record_event(job.pk, 1, 0, "failing", {})
    assert Event.objects.filter(kind="failing").count() == 1


@pytest.mark.parametrize("given", [-1, 1.5, True, "1", 2**31])
def test_a_policy_that_can_not_be_is_refused(given: Any) -> None:
    with pytest.raises(InvalidPolicy, match="alert_failed_items"):
        submit("night", [], pipeline="p", policy={"alert_failed_items": given})

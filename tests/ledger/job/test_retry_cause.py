"""A retry by cause: only its items go into the next run; all others stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot import faults
from joblot.errors import InvalidInput, NotFound, NumberChanged, WrongStatus
from joblot.fingerprint import cause_of
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, start
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.causes import causes
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Attempt, ItemRange, Job, Outcome
from joblot.states import TERMINAL
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.read.test_causes import FAILURES, failed_job
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, status, succeed

DISK = cause_of("OSError", "disk 1 is full")
BAD = cause_of("Bad", "broken")


def rows(job: Job) -> dict[int, tuple[Any, ...]]:
    found = Outcome.objects.filter(job_id=job.pk)
    return {one.number: (one.state, one.run, one.error_message, one.settled_at) for one in found}


def test_retrying_one_of_three_causes_touches_only_its_items(ledger_db: str) -> None:
    job = failed_job()
    before = rows(job)
    job = retry(job.pk, cause=DISK, expected=333)
    assert (job.run, job.status, job.reopening) == (2, "PENDING", None)
    assert counts(job) == {"failed": FAILURES - 333}
    mine = {n for n in range(FAILURES) if n % 3 == 1}
    assert rows(job) == {n: row for n, row in before.items() if n not in mine}
    assert {one.number for one in Attempt.objects.all()} == mine
    taken: set[int] = set()
    while leases := claim("p", 100).leases:
        taken.update(worker.numbers(leases[0]))
        succeed(leases[0])
    assert taken == mine
    assert (status(job), counts(job)) == ("FAILURE", {"succeeded": 333, "failed": 667})
    assert {group["items"] for group in causes(job.pk)["causes"]} == {334, 333}
    assert kinds(job).count("finished") == 2
    (retried,) = [event for event in events(job.pk) if event["kind"] == "retried"]
    assert retried["data"] == {"items": 333, "cause": DISK}


def test_each_item_returns_to_the_stage_in_which_it_failed(ledger_db: str) -> None:
    """What was skipped behind a reopened item is open again; behind others it stays skipped."""
    job = submit("staged", keys(6), stages=TWO_STAGES, policy={"failure_threshold": 1})
    lease = worker.lease()
    succeed(lease, 0, 1, 2)
    fail(lease, 3)
    report(lease.token, [failure(n, "Other", "x") for n in (4, 5)])
    lease = worker.lease("q")
    succeed(lease, 0)
    fail(lease, 1)
    report(lease.token, [failure(2, "Other", "x")])
    assert counts(job, 1) == {"succeeded": 1, "failed": 2, "skipped": 3}
    retry(job.pk, cause=BAD, expected=2)
    assert counts(job, 0) == {"succeeded": 3, "failed": 2}
    assert counts(job, 1) == {"succeeded": 1, "failed": 1, "skipped": 2}
    lease = worker.lease("p")
    assert worker.numbers(lease) == [3]
    succeed(lease)
    worker.drain("q")
    assert counts(job, 1) == {"succeeded": 3, "failed": 1, "skipped": 2}
    assert status(job) == "COMPLETED_WITH_ERRORS"


def test_lost_items_are_retried_by_their_cause(ledger_db: str) -> None:
    job = submit("lost", keys(2), pipeline="p", policy={"expiries_max": 1})
    lease = worker.lease()
    fail(lease, 0)
    expire(lease.token)
    while not has_ended(job):
        expire(worker.lease(limit=1).token)
    (lost,) = [one for one in causes(job.pk)["causes"] if one["type"] == "LeaseExpired"]
    retry(job.pk, cause=lost["cause"], expected=1)
    lease = worker.lease()
    assert worker.numbers(lease) == [1]
    succeed(lease)
    assert counts(job) == {"succeeded": 1, "failed": 1}


def has_ended(job: Job) -> bool:
    return status(job) in TERMINAL


@pytest.mark.parametrize("goes_on", [retry, start, lambda job: sweep()])
def test_the_selection_survives_the_death_of_the_process(
    ledger_db: str, goes_on: Callable[[int], object]
) -> None:
    job = failed_job(9)
    with faults.armed("retry: next run begun", die), pytest.raises(Cut):
        retry(job.pk, cause=DISK)
    assert (Job.objects.get().reopening or {})["cause"] == DISK
    goes_on(job.pk)
    assert counts(job) == {"failed": 6}
    assert worker.numbers(worker.lease()) == [1, 4, 7]


def test_a_retry_of_many_items_goes_chunk_by_chunk(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    configure(reopen_chunk_items=2)
    job = failed_job(30)
    retry(job.pk, cause=DISK, start_now=False)
    assert (status(job), counts(job)) == ("CREATED", {"failed": 20})
    start(job.pk)
    found = {n for one in ItemRange.objects.all() for n in range(one.next, one.last + 1)}
    assert found == set(range(1, 30, 3))


@pytest.mark.parametrize("cause", [DISK, None])
def test_another_number_than_expected_changes_nothing(ledger_db: str, cause: str | None) -> None:
    job = failed_job(9)
    before = (Job.objects.get().version, rows(job), kinds(job))
    with pytest.raises(NumberChanged, match="expected to retry 4 items") as raised:
        retry(job.pk, cause=cause, expected=4)
    found = 3 if cause else 9
    assert (raised.value.expected, raised.value.found) == (4, found)
    assert (Job.objects.get().version, rows(job), kinds(job)) == before
    assert retry(job.pk, cause=cause, expected=found).run == 2


def test_the_number_of_a_cancelled_job_includes_what_was_never_worked(ledger_db: str) -> None:
    job = submit("cancelled", keys(5), pipeline="p")
    lease = worker.lease(limit=2)
    succeed(lease, 0)
    fail(lease, 1)
    cancel(job.pk, grace_seconds=0)
    with pytest.raises(NumberChanged) as raised:
        retry(job.pk, expected=1)
    assert raised.value.found == 4
    with pytest.raises(
        WrongStatus, match="is 'Canceled'; the next run of a selection is possible only if"
    ):
        retry(job.pk, cause=BAD)
    retry(job.pk, expected=4)
    assert worker.numbers(worker.lease()) == [1, 2, 3, 4]


def test_an_amendment_is_seen_though_no_report_of_it_is_written(ledger_db: str) -> None:
    """A late success that was counted, before its reporter has reconciled the job."""
    job = submit("amended", keys(2), pipeline="p")
    early = worker.lease()
    expire(early.token)
    fail(worker.lease())

    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        report(early.token, [success(0)])
    with pytest.raises(NumberChanged) as raised:
        retry(job.pk, cause=BAD, expected=2)
    assert raised.value.found == 1
    sweep()


def test_a_repeated_request_that_names_the_run_begins_no_other(ledger_db: str) -> None:
    job = failed_job(9)
    retry(job.pk, cause=DISK, expected=3, run=2)
    assert retry(job.pk, cause=DISK, expected=3, run=2).run == 2
    with pytest.raises(WrongStatus, match="run 2 was begun for another selection"):
        retry(job.pk, cause=BAD, run=2)


def test_a_cause_that_no_item_has_is_refused(ledger_db: str) -> None:
    job = failed_job(3)
    with pytest.raises(NotFound, match="no item of this selection has failed"):
        retry(job.pk, cause="0" * 16)
    with pytest.raises(InvalidInput, match="cause: expected 16 hexadecimal digits, got 'x'"):
        retry(job.pk, cause="x")
    assert Job.objects.get().run == 1


def test_kept_failures_count_for_the_alert_of_the_next_run(ledger_db: str) -> None:
    job = submit("alerting", keys(3), pipeline="p", policy={"alert_failed_items": 0})
    lease = worker.lease()
    fail(lease, 0)
    report(lease.token, [failure(n, "Other", "x") for n in (1, 2)])
    retry(job.pk, cause=BAD)
    assert [(event["run"], event["kind"]) for event in events(job.pk)].count((2, "failing")) == 1
    succeed(worker.lease())
    assert counts(job) == {"succeeded": 1, "failed": 2}


def test_the_next_retry_takes_all_that_is_left(ledger_db: str) -> None:
    job = failed_job(9)
    retry(job.pk, cause=DISK)
    succeed(worker.lease())
    retry(job.pk, expected=6)
    succeed(worker.lease())
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 9})
    assert len(items(job.pk)) == 9

"""A halt: a job in which too many items fail is paused or canceled, once, by whoever sees it."""

from __future__ import annotations

from typing import Any

import pytest

from joblot import faults
from joblot.errors import InvalidPolicy
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import pause, resume
from joblot.ledger.job.reconcile import reconcile, write
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.causes import causes
from joblot.ledger.read.history import events
from joblot.ledger.read.why import why
from joblot.ledger.rows.due import Counts, decide, read_snapshot
from joblot.ledger.rows.halt import Halting, Tried
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.states import CLAIMABLE, FINALIZABLE, JobStatus
from joblot.wire import failure
from tests.ledger import worker
from tests.ledger.job.test_reconcile import Cut, die, seen
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, receipts, status, succeed

ONE = {"halt_failed_items": 1}
HALF = {"halt_failed_share": 0.5, "halt_tried_items_min": 4}


def halts(job: Job) -> list[dict[str, Any]]:
    return [event for event in events(job.pk) if event["kind"] == "halted"]


@pytest.mark.parametrize("job_status", JobStatus)
@pytest.mark.parametrize("cancels", [False, True])
def test_it_is_due_while_there_is_something_to_halt(job_status: JobStatus, cancels: bool) -> None:
    halting = Halting(1, None, 20, cancels)
    due = decide(seen(job_status, Counts(failed=1, lost=1), halting=halting, sealed=False))
    wanted = FINALIZABLE if cancels else CLAIMABLE
    assert (due is not None and due.kind == "halted") == (job_status in wanted)
    if due is not None and due.kind == "halted":
        assert due.status is (JobStatus.CANCELING if cancels else JobStatus.PAUSED)


def test_what_is_settled_as_a_whole_ends_and_is_not_halted() -> None:
    due = decide(seen(JobStatus.STARTED, Counts(failed=2), halting=Halting(1, None, 20, False)))
    assert due is not None
    assert due.kind == "finished"


@pytest.mark.parametrize(
    ("given_up", "tried", "halted"), [(3, 4, True), (2, 4, False), (3, 3, False), (29, 58, False)]
)
def test_a_share_counts_from_a_number_of_items_on(given_up: int, tried: int, halted: bool) -> None:
    halting = Halting(None, 0.5, 4, False)
    assert (halting.exceeded([Tried(0, 900), Tried(given_up, tried)]) is not None) == halted


def test_a_share_is_compared_exactly() -> None:
    assert Halting(None, 0.29, 1, False).exceeded([Tried(29, 100)]) is None


def test_one_failure_more_than_allowed_pauses_the_job_once(ledger_db: str) -> None:
    job = submit("night", keys(6), pipeline="p", policy=ONE)
    lease = worker.lease(limit=4)
    fail(lease, 0)
    assert status(job) == "STARTED"
    fail(lease, 1)
    assert status(job) == "PAUSED"
    fail(lease, 2)
    succeed(lease, 3)
    (halt,) = halts(job)
    assert halt["data"]["limit"] == "halt_failed_items"
    assert halt["data"]["stages"][0]["failed"] == 2
    assert halt["message"] == "halted and paused (2 items failed or lost; Halt after 1)"
    assert counts(job) == {"failed": 3, "succeeded": 1}
    assert worker.nothing()


def test_a_job_may_be_canceled_instead(ledger_db: str) -> None:
    policy = ONE | {"halt_action": "cancel", "cancel_grace_seconds": 0}
    job = submit("night", keys(6), pipeline="p", policy=policy)
    fail(worker.lease(limit=2))
    assert status(job) == "CANCELING"
    sweep()
    assert (status(job), kinds(job)[-2:]) == ("REVOKED", ["halted", "finished"])
    (ended,) = why(job.pk)["reasons"]
    assert "because more failed than it allows (halt_failed_items 1)" in ended["text"]


def test_lost_items_and_those_of_all_stages_add_up(ledger_db: str, caches_kept: None) -> None:
    job = submit("night", keys(4), stages=TWO_STAGES, policy=ONE | {"expiries_max": 1})
    lease = worker.lease("p")
    fail(lease, 0)
    succeed(lease, 1, 2, 3)
    assert status(job) == "STARTED"
    expire(worker.lease("q", limit=1).token)
    expire(worker.lease("q", limit=1).token)
    assert (status(job), len(halts(job))) == ("PAUSED", 1)


def test_a_share_of_what_a_stage_has_tried_halts(ledger_db: str) -> None:
    job = submit("night", keys(9), pipeline="p", policy=HALF)
    lease = worker.lease(limit=8)
    fail(lease, 0, 1)
    succeed(lease, 2)
    assert status(job) == "STARTED"
    fail(lease, 3)
    assert (status(job), halts(job)[0]["data"]["limit"]) == ("PAUSED", "halt_failed_share")


def test_why_says_what_has_halted_the_job(ledger_db: str) -> None:
    job = submit("night", keys(5), pipeline="p", policy=ONE)
    fail(worker.lease(limit=2))
    (reason,) = (one for one in why(job.pk)["reasons"] if one["code"] == "halted")
    assert (
        "because more failed than it allows (halt_failed_items 1); 3 items wait" in reason["text"]
    )
    assert (reason["act"], reason["link"]) == ("resume", "items?state=failed")
    resume(job.pk)
    pause(job.pk)
    assert [one["code"] for one in why(job.pk)["reasons"]] == ["paused"]


def test_a_resume_begins_the_count_again(ledger_db: str) -> None:
    job = submit("night", keys(9), pipeline="p", policy=ONE)
    fail(worker.lease(limit=3))
    resume(job.pk)
    assert reconcile(job.pk) == "STARTED"
    fail(worker.lease(limit=1))
    assert status(job) == "STARTED"
    fail(worker.lease(limit=1))
    assert (status(job), len(halts(job))) == ("PAUSED", 2)


def test_what_an_earlier_run_left_failed_does_not_count(ledger_db: str) -> None:
    job = submit("night", keys(8), pipeline="p", policy={"halt_failed_items": 3})
    lease = worker.lease()
    fail(lease, 0, 1, 2)
    receipts(lease, failure(3, "Other", "broken"), failure(4, "Other", "broken"))
    assert status(job) == "PAUSED"
    succeed(lease, 5, 6, 7)
    cause = next(one["cause"] for one in causes(job.pk)["causes"] if one["type"] == "Other")
    retry(job.pk, cause=cause)
    assert fail(worker.lease(), 3) == ["counted"]
    assert (status(job), len(halts(job))) == ("STARTED", 1)


def test_a_lower_limit_halts_at_once(ledger_db: str) -> None:
    job = submit("night", keys(9), pipeline="p")
    fail(worker.lease(limit=3))
    edit(job.pk, policy={"halt_failed_items": 2})
    assert (status(job), len(halts(job))) == ("PAUSED", 1)


@pytest.mark.parametrize("policy", [ONE, {"halt_failed_share": 0.1, "halt_tried_items_min": 1}])
def test_the_sweep_halts_what_a_reporter_that_died_has_left(
    ledger_db: str, policy: dict[str, Any]
) -> None:
    job = submit("night", keys(9), pipeline="p", policy=policy)
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        fail(worker.lease(limit=2))
    assert status(job) == "STARTED"
    sweep()
    assert (status(job), len(halts(job))) == ("PAUSED", 1)


def test_of_two_that_see_it_at_once_one_halts(ledger_db: str) -> None:
    """Both read the job before either writes."""
    job = submit("night", keys(3), pipeline="p", policy=ONE)
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        fail(worker.lease(limit=2))
    both = [read_snapshot(job.pk), read_snapshot(job.pk)]
    written = [write(one, decide(one)) for one in both if one]  # type: ignore[arg-type]
    assert (written, len(halts(job))) == ([True, False], 1)


@pytest.mark.parametrize(
    "policy",
    [
        {"halt_failed_items": -1},
        {"halt_failed_items": 1.5},
        {"halt_failed_share": 1.1},
        {"halt_failed_share": "a"},
        {"halt_tried_items_min": 0},
        {"halt_tried_items_min": None},
        {"halt_action": "stop"},
        {"halt_action": None},
        {"halt_action": ["pause"]},
    ],
)
def test_a_policy_that_can_not_be_is_refused(policy: dict[str, Any]) -> None:
    (name,) = policy
    with pytest.raises(InvalidPolicy, match=name):
        submit("night", [], pipeline="p", policy=policy)

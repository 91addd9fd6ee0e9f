"""A retry within the run: selected items that failed are open again, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot import faults
from joblot.errors import InvalidInput, NotFound, NumberChanged, WrongStatus
from joblot.fingerprint import cause_of
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.read.audit import audit
from joblot.ledger.read.causes import causes
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items
from joblot.ledger.submit.submit import submit
from joblot.models import Attempt, Job
from joblot.wire import failure
from tests.ledger import worker
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import (
    TWO_STAGES,
    counts,
    fail,
    keys,
    kinds,
    numbers,
    receipts,
    status,
    succeed,
)

BAD = cause_of("Bad", "broken")


def reopened(job: Job) -> list[dict[str, Any]]:
    return [event["data"] for event in events(job.pk) if event["kind"] == "reopened"]


def running(**more: Any) -> Job:
    """Nine items: 0 and 1 failed for one cause, 2 for another, 3 succeeded, five wait."""
    job = submit("night", keys(9), **({"pipeline": "p"} | more))
    lease = worker.lease(limit=4)
    fail(lease, 0, 1)
    receipts(lease, failure(2, "Other", "x"))
    succeed(lease, 3)
    return job


@pytest.mark.parametrize(
    ("selection", "mine"),
    [
        ({"cause": BAD}, [0, 1]),
        ({"keys": ["k1", "k2", "k3", "k8"]}, [1, 2]),
        ({"keys": ["k1", "k2"], "cause": BAD}, [1]),
        ({"failed": True}, [0, 1, 2]),
        ({"stage": "p"}, [0, 1, 2]),
    ],
)
def test_what_is_selected_is_open_again_at_once(
    ledger_db: str, selection: dict[str, Any], mine: list[int]
) -> None:
    job = running()
    again = retry(job.pk, **selection, expected=len(mine), actor="ana")
    assert (again.run, again.status) == (1, "STARTED")
    assert counts(job) == {"succeeded": 1, "failed": 3 - len(mine)} or len(mine) == 3
    assert reopened(job)[0]["items"] == len(mine)
    assert audit(job.pk)["ok"]
    taken = set()
    while not worker.nothing_ready():
        lease = worker.lease()
        taken.update(numbers(lease))
        succeed(lease)
    assert taken == {4, 5, 6, 7, 8, *mine}
    assert counts(job).get("failed", 0) == 3 - len(mine)
    assert kinds(job).count("finished") == 1
    assert audit(job.pk)["ok"]


def test_the_earlier_failure_is_kept_with_the_item(ledger_db: str) -> None:
    job = running()
    retry(job.pk, keys=["k2"])
    (attempt,) = Attempt.objects.all()
    assert (attempt.number, attempt.error_type, attempt.run) == (2, "Other", 1)
    found = items(job.pk)[2]
    assert (found["state"], found["outcomes"], len(found["attempts"])) == ("open", [], 1)
    assert [one["type"] for one in causes(job.pk)["causes"]] == ["Bad"]


def test_a_failure_that_is_posted_again_does_not_fail_it_again(ledger_db: str) -> None:
    job = submit("night", keys(3), pipeline="p")
    lease = worker.lease()
    fail(lease, 0)
    retry(job.pk, failed=True)
    assert fail(lease, 0) == ["duplicate"]
    assert counts(job) == {}
    assert succeed(worker.lease(), 0) == ["counted"]
    assert fail(lease, 0) == ["superseded"]
    assert succeed(lease, 1, 2) == ["counted", "counted"]
    assert status(job) == "SUCCESS"


def test_nor_through_a_lease_that_has_settled_all_it_had(ledger_db: str) -> None:
    job = submit("night", keys(3), pipeline="p")
    lease = worker.lease(limit=1)
    fail(lease)
    retry(job.pk, failed=True)
    assert fail(lease) == ["duplicate"]
    assert counts(job) == {}


def test_a_late_success_counts_and_the_item_is_not_claimed_again(ledger_db: str) -> None:
    job = submit("night", keys(3), pipeline="p")
    lease = worker.lease(limit=1)
    fail(lease)
    retry(job.pk, failed=True)
    assert succeed(lease) == ["counted"]
    taken = []
    while leases := claim("p").leases:
        taken += numbers(leases[0])
        succeed(leases[0])
    assert taken == [1, 2]
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 3})


def test_what_was_skipped_behind_it_is_open_again(ledger_db: str) -> None:
    job = submit("staged", keys(4), stages=TWO_STAGES)
    lease = worker.lease()
    fail(lease, 0, 1)
    succeed(lease, 2)
    fail(worker.lease("q"))
    assert counts(job, 1) == {"failed": 1, "skipped": 2}
    with pytest.raises(InvalidInput, match="read, save"):
        retry(job.pk, stage="write")
    retry(job.pk, stage="read", expected=2)
    assert (counts(job, 0), counts(job, 1)) == ({"succeeded": 1}, {"failed": 1})
    retry(job.pk, stage="save", expected=1)
    succeed(lease, 3)
    for _ in range(2):
        worker.drain("p")
        worker.drain("q")
    assert (status(job), counts(job, 1)) == ("SUCCESS", {"succeeded": 4})


def test_lost_items_get_their_budget_again(ledger_db: str) -> None:
    job = submit("lost", keys(3), pipeline="p", policy={"expiries_max": 2})
    for _ in range(3):
        expire(worker.lease(limit=1).token)
        if counts(job):
            break
    while not counts(job):
        expire(worker.lease(limit=1).token)
    retry(job.pk, failed=True, expected=1)
    assert counts(job) == {}
    worker.drain()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 3})


def test_a_paused_job_stays_paused(ledger_db: str) -> None:
    job = running()
    pause(job.pk)
    assert retry(job.pk, failed=True).status == "PAUSED"
    resume(job.pk)
    worker.drain()
    assert counts(job) == {"succeeded": 9}


def test_a_halt_counts_from_the_retry_on(ledger_db: str) -> None:
    job = submit("night", keys(9), pipeline="p", policy={"halt_failed_items": 2})
    fail(worker.lease(limit=3))
    resume(job.pk)
    retry(job.pk, keys=["k0"])
    for _ in range(2):
        fail(worker.lease(limit=1))
    assert status(job) == "STARTED"
    fail(worker.lease(limit=1))
    assert status(job) == "PAUSED"


def test_of_a_job_that_has_ended_it_is_the_next_run(ledger_db: str) -> None:
    job = running()
    succeed(worker.lease())
    assert status(job) == "COMPLETED_WITH_ERRORS"
    again = retry(job.pk, keys=["k0", "k2"], cause=BAD, expected=1)
    assert (again.run, again.status) == (2, "PENDING")
    assert numbers(worker.lease()) == [0]
    retried = next(event for event in events(job.pk) if event["kind"] == "retried")
    assert retried["data"] == {"items": 1, "cause": BAD, "numbers": [0, 2]}


@pytest.mark.parametrize(
    ("selection", "error"),
    [
        ({"keys": ["k3", "k8"]}, NotFound),  # neither has failed
        ({"keys": ["k0", "absent"]}, NotFound),
        ({"keys": []}, InvalidInput),
        ({"keys": "k0"}, InvalidInput),
        ({"keys": [7]}, InvalidInput),
        ({"cause": "0" * 16}, NotFound),
        ({"cause": "disk"}, InvalidInput),
        ({"failed": True, "expected": 4}, NumberChanged),
        ({"failed": True, "expected": 0}, NumberChanged),
        ({"failed": True, "run": 2}, WrongStatus),
        ({"failed": True, "config": 7}, WrongStatus),
        ({"failed": True, "start_now": False}, WrongStatus),
        ({}, WrongStatus),
    ],
)
def test_what_can_not_be_changes_nothing(
    ledger_db: str, selection: dict[str, Any], error: type[Exception]
) -> None:
    job = running()
    before = kinds(job), counts(job)
    with pytest.raises(error):
        retry(job.pk, **selection)
    assert (kinds(job), counts(job)) == before


def test_a_canceled_job_is_not_retried_in_part(ledger_db: str) -> None:
    job = running()
    cancel(job.pk, grace_seconds=0)
    with pytest.raises(WrongStatus):
        retry(job.pk, failed=True)


def test_many_items_go_chunk_by_chunk_and_go_on_after_a_death(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    configure(reopen_chunk_items=4)
    job = submit("night", keys(21), pipeline="p")
    for _ in range(5):
        fail(worker.lease(limit=4))
    with faults.armed("retry: failed items reopened", die), pytest.raises(Cut):
        retry(job.pk, failed=True)
    assert counts(job) == {"failed": 16}
    retry(job.pk, failed=True, expected=16)
    assert counts(job) == {}
    assert [data["items"] for data in reopened(job)] == [4] * 5
    worker.drain()
    assert status(job) == "SUCCESS"

"""The parts of a stage add up, at every moment, and each is a list of exactly those items."""

from __future__ import annotations

from typing import Any

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.partition import PARTS, partition
from joblot.ledger.read.search import search
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, numbers, succeed


def parts(job: Job, stage: int = 0) -> dict[str, int]:
    """The parts of a stage that are not 0. All stages add up, and lists have as many items."""
    for one in partition(job.pk)["stages"]:
        assert sum(one[part] for part in PARTS) == one["total"], one
        for part in PARTS:
            assert len(listed(job, part, one["name"])) == one[part], (part, one)
    found = partition(job.pk)["stages"][stage]
    return {part: found[part] for part in PARTS if found[part]}


def listed(job: Job, state: str, stage: str) -> list[int]:
    """The items of all pages, of two each."""
    found, after = [], -1
    while True:
        page = search(job.pk, ItemFilters(state=state, stage=stage, after=after), limit=2)
        found += [item["id"] for item in page]
        if page.next is None:
            return found
        assert page.next > after
        after = page.next


def two_stages(items: int = 10, **policy: Any) -> Job:
    return submit("two", keys(items), stages=TWO_STAGES, policy=policy)


def test_the_parts_of_a_job_at_work_add_up(ledger_db: str) -> None:
    job = two_stages(retry_backoff_seconds=1_000)
    assert parts(job) == {"ready": 10}
    assert parts(job, 1) == {"not_reached": 10}
    lease = worker.lease("p", 7)
    succeed(lease, 0, 1)
    fail(lease, 2)
    fail(lease, 3, 4, retryable=True)
    worker.lease("q", 1)
    assert parts(job) == {
        "succeeded": 2,
        "failed": 1,
        "in_flight": 2,
        "waiting": 2,
        "ready": 3,
    }
    assert parts(job, 1) == {"skipped": 1, "in_flight": 1, "ready": 1, "not_reached": 7}
    assert listed(job, "waiting", "read") == [3, 4]
    assert listed(job, "in_flight", "read") == [5, 6]
    assert listed(job, "not_reached", "save") == [3, 4, 5, 6, 7, 8, 9]
    expire(lease.token)
    assert parts(job)["ready"] == 5


def test_an_item_settled_through_an_expired_lease_is_in_no_other_part(ledger_db: str) -> None:
    job = two_stages(4)
    lease = worker.lease("p", 4)
    expire(lease.token)
    succeed(lease, 1)
    again = worker.lease("p", 4)
    assert numbers(again) == [0, 2, 3]
    succeed(lease, 2)
    assert listed(job, "in_flight", "read") == [0, 3]
    found = partition(job.pk)["stages"][0]
    assert sum(found[part] for part in PARTS) == 4
    succeed(again)


def test_the_open_items_of_a_canceled_job_are_of_three_kinds(ledger_db: str) -> None:
    job = two_stages()
    lease, given_back = worker.lease("p", 4), worker.lease("p", 2)
    succeed(lease, 0)
    release(given_back.token)
    expired = worker.lease("p", 2)
    expire(expired.token)
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease, 1) == ["late"]
    assert succeed(lease, 1) == ["late"]
    assert succeed(expired, numbers(expired)[0]) == ["late"]
    assert parts(job) == {
        "succeeded": 1,
        "finished_after_cancel": 2,
        "cancelled_in_flight": 2,
        "cancelled_before_start": 5,
    }
    assert listed(job, "finished_after_cancel", "read") == [1, numbers(expired)[0]]
    assert listed(job, "cancelled_in_flight", "read") == [2, 3]
    assert parts(job, 1) == {"cancelled_before_start": 10}


def test_a_late_result_of_an_earlier_run_counts_in_no_later_one(ledger_db: str) -> None:
    job = two_stages(3)
    lease = worker.lease("p", 2)
    cancel(job.pk, grace_seconds=0)
    succeed(lease, 0)
    retry(job.pk)
    assert parts(job) == {"ready": 3}
    cancel(job.pk, grace_seconds=0)
    assert parts(job) == {"cancelled_before_start": 3}


def test_while_a_cancel_waits_its_items_are_in_flight(ledger_db: str) -> None:
    job = two_stages(3)
    lease = worker.lease("p", 2)
    cancel(job.pk, grace_seconds=1_000)
    found = partition(job.pk)["stages"][0]
    assert (found["in_flight"], found["ready"]) == (2, 1)
    succeed(lease, 0)
    assert parts(job)["succeeded"] == 1

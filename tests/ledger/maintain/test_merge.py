"""Merge: adjacent ranges that are alike become one; nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.job.lifecycle import pause
from joblot.ledger.lease import expire
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, status, succeed


def waiting(stage: int = 0) -> list[tuple[int, int]]:
    rows = ItemRange.objects.filter(stage=stage).order_by("next")
    return [(row.next, row.last) for row in rows]


@pytest.fixture
def small(configure: Any) -> None:
    configure(merge_ranges_min=1, range_items_min=8)


def test_follow_on_items_are_merged_up_to_the_size_of_a_range(ledger_db: str, small: None) -> None:
    job = submit("merge", keys(20), stages=TWO_STAGES)
    while not worker.nothing("p", job=-1) or not worker_done():
        succeed(worker.lease("p", limit=1))
    assert len(waiting(1)) == 20
    merge_ranges()
    assert waiting(1) == [(0, 7), (8, 15), (16, 19)]
    worker.drain("q")
    assert status(job) == "SUCCESS"


def worker_done() -> bool:
    return not ItemRange.objects.filter(stage=0).exists()


def test_items_with_different_budgets_stay_apart(ledger_db: str, small: None) -> None:
    policy = {"retry_backoff_seconds": 0, "failures_max": 9}
    job = submit("merge", keys(8), pipeline="p", policy=policy)
    lease = worker.lease()
    fail(lease, *range(8), retryable=True)
    again = worker.lease(limit=4)
    fail(again, *worker.numbers(again), retryable=True)
    merge_ranges()
    rows = ItemRange.objects.order_by("next").values_list("next", "last", "failures")
    assert list(rows) == [(0, 3, 2), (4, 7, 1)]
    assert {item.attempt for item in worker.lease().items} <= {2, 3}
    assert status(job) == "STARTED"


def test_items_that_must_go_alone_are_never_merged(ledger_db: str, small: None) -> None:
    submit("merge", keys(6), pipeline="p")
    for _ in range(2):
        expire(worker.lease().token)
    merge_ranges()
    assert waiting() == [(n, n) for n in range(6)]
    assert len(worker.lease().items) == 1


def test_items_that_wait_for_their_next_try_are_left_alone(
    ledger_db: str, small: None, clock: Any
) -> None:
    submit("merge", keys(4), pipeline="p", policy={"retry_backoff_seconds": 60})
    fail(worker.lease(), retryable=True)
    merge_ranges()
    assert len(waiting()) == 4
    clock.forward(60)
    merge_ranges()
    assert waiting() == [(0, 3)]


def test_a_stage_with_few_ranges_is_left_alone(ledger_db: str) -> None:
    submit("merge", keys(4), pipeline="p", policy={"retry_backoff_seconds": 0})
    fail(worker.lease(), retryable=True)
    merge_ranges()
    assert len(waiting()) == 4


def test_a_job_that_is_not_claimable_is_left_alone(ledger_db: str, small: None) -> None:
    job = submit("merge", keys(4), pipeline="p", policy={"retry_backoff_seconds": 0})
    fail(worker.lease(), retryable=True)
    pause(job.pk)
    merge_ranges()
    assert len(waiting()) == 4

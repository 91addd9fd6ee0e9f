"""Items by a filter: each condition finds exactly its items, and pages leave none out."""

from __future__ import annotations

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.search import search
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, receipts, succeed


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Items a0 to a5 and b6 to b11: gpu-1 and gpu-2 did some of the first stage, gpu-3 one of the
    second.
    """
    names = [f"{'a' if n < 6 else 'b'}{n}" for n in range(12)]
    job = submit("tiles", names, stages=TWO_STAGES, policy={"retry_backoff_seconds": 1_000})
    first = worker.lease("p", 4, worker="gpu-1")
    succeed(first, 0, 1)
    fail(first, 2)
    fail(first, 3, retryable=True)
    succeed(worker.lease("p", 1, worker="gpu-2"))
    worker.lease("p", 2, worker="gpu-2")
    receipts(worker.lease("q", 1, worker="gpu-3"), success(0, "done"))
    return job


def found(job: Job, limit: int = 100, **given: str) -> list[int]:
    after: int | None = -1
    items: list[int] = []
    while after is not None:
        page = search(job.pk, ItemFilters.of(given | {"after": str(after)}), limit=limit)
        items += [item["id"] for item in page]
        after = page.next
    return items


@pytest.mark.parametrize("limit", [1, 100])
def test_each_condition_finds_its_items(job: Job, limit: int) -> None:
    def these(**given: str) -> list[int]:
        return found(job, limit, **given)

    assert these() == list(range(12))
    assert these(q="b") == [6, 7, 8, 9, 10, 11]
    assert these(q="b1") == [10, 11]
    assert these(range="3-5") == [3, 4, 5]
    assert these(range="-1") == [0, 1]
    assert these(range="10-", q="b11") == [11]
    assert these(state="failed") == [2]
    assert these(state="failed", range="3-") == []
    assert these(state="failed", range="-1") == []
    assert these(state="failed", range="-2") == [2]
    assert these(state="open", range="-6") == [1, 3, 4, 5, 6]
    assert these(state="ready", stage="read", range="-8") == [7, 8]
    assert these(worker="gpu-1") == [0, 1, 2, 3]
    assert these(worker="gpu-3") == [0]
    assert these(worker="gpu-3", stage="read") == []
    assert these(worker="gpu-1", state="succeeded", stage="read") == [0, 1]
    assert these(receipt="requeued") == [3]
    assert these(receipt="counted", stage="save") == [0]
    assert these(attempt="1-", stage="read") == [0, 1, 2, 3, 4]
    assert these(attempt="2") == [0]
    assert these(attempt="-0", range="8-") == [8, 9, 10, 11]


def test_a_worker_has_what_it_holds(job: Job) -> None:
    held = found(job, worker="gpu-2", state="in_flight", stage="read")
    assert held == [5, 6]
    assert found(job, worker="gpu-2") == [4, 5, 6]
    assert found(job, worker="gpu-1", state="in_flight", stage="read") == []


def test_results_that_do_not_count_are_found(ledger_db: str) -> None:
    job = submit("x", ["a", "b", "c"], pipeline="p")
    lease, other = worker.lease("p", 2), worker.lease("p", 1)
    receipts(lease, success(0, "one"))
    receipts(lease, success(0, "two"))
    expire(other.token)
    cancel(job.pk, grace_seconds=0)
    receipts(other, success(2, "late"))
    assert found(job, receipt="conflicting") == [0]
    assert found(job, receipt="late") == [2]
    assert found(job, receipt="late", state="finished_after_cancel") == [2]


def test_a_page_examines_a_bounded_number_of_items(job: Job, configure) -> None:
    configure(page_probe_items=4)
    page = search(job.pk, ItemFilters(q="b11"))
    assert (page, page.next) == ([], 3)
    assert found(job, q="b11") == [11]
    assert found(job, q="b11", state="open") == [11]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"status": "failed"}, "'status': expected a parameter of stage, state, cause, worker, "),
        ({"state": "broken"}, "state: expected one of open, ready, waiting, .*, got 'broken'"),
        ({"receipt": "duplicate"}, "receipt: expected one of counted, requeued, late, confl"),
        ({"range": "a-b"}, "range: expected a range such as 3-, -7 or 480000-490000"),
        ({"attempt": "-"}, "attempt: expected a range"),
        ({"range": "99999999999-"}, "range: expected a range"),
        ({"after": "x"}, "after: expected the number of an item, got 'x'"),
    ],
)
def test_what_is_not_known_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ItemFilters.of(given)


def test_an_unknown_stage_is_refused(job: Job) -> None:
    for state in ("ready", "failed", "not_reached", None):
        with pytest.raises(InvalidInput, match="stage: expected one of read, save, got 'x'"):
            search(job.pk, ItemFilters(state=state, stage="x", q="k"))

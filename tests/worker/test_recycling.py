"""A worker process that is replaced between two calls: no lease is lost, no item costs a budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from joblot.errors import RetryableError
from joblot.ledger.read.audit import audit
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.wire import ClaimedItem, Result
from joblot.worker import batched, each
from joblot.worker.recycling import MIB, OUT_OF_MEMORY, Recycler, Recycling, resident_bytes
from tests.polling import eventually
from tests.worker.conftest import Working, ended, numbered


class MemoryOfALibrary(MemoryError):
    """As NumPy has one."""


def _replaced(working: Working, recycling: Recycling, work: Any, **settings: Any) -> list[str]:
    """Run one worker until it leaves; returns why."""
    recycler, why = Recycler(recycling), list[str]()
    is_set = threading.Event()

    def begins_later(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        assert is_set.wait(30)
        yield from work(items)

    with working(recycler.watched(begins_later), **settings) as worker:

        def leave(reason: str) -> None:
            why.append(reason)
            worker.drain()

        recycler.due = leave
        is_set.set()
        eventually(lambda: why)
    return why


def test_after_n_items_the_rest_of_the_lease_is_given_back_at_no_cost(
    ledger_db: str, working: Working
):
    policy = {"expiries_max": 1, "failures_max": 1}
    job = submit("j", numbered(60), pipeline="p", policy=policy).pk
    calls: list[int] = []

    def note(n: int) -> int:
        calls.append(n)
        return n

    workers = 0
    while len(calls) < 50:
        assert _replaced(working, Recycling(items=20), each(note)) == ["it has processed 20 items"]
        workers += 1
        assert in_flight() == []
        assert len(calls) == 20 * workers
    assert progress(job)["status"] == "SUCCESS"
    assert sorted(calls) == list(range(60))
    assert all(not one["attempts"] for one in items(job))
    assert audit(job)["ok"]


@pytest.mark.parametrize("raised", [MemoryError, MemoryOfALibrary])
def test_a_worker_that_ran_out_of_memory_reports_the_item_and_leaves(
    ledger_db: str, working: Working, raised: type[Exception]
):
    job = submit("j", ["big", "small"], pipeline="p").pk

    def grows(key: str) -> str:
        if key == "big":
            raise raised("no more")
        return key

    assert _replaced(working, Recycling(), each(grows)) == [OUT_OF_MEMORY]
    first, second = items(job)
    assert (first["state"], second["state"]) == ("failed", "open")
    assert first["outcomes"][0]["error"]["type"] == raised.__name__
    with working(each(grows)):
        ended(job)
    assert audit(job)["ok"]


def test_a_batch_that_ran_out_of_memory_costs_its_worker_although_its_items_succeed_alone(
    ledger_db: str, working: Working
):
    job = submit("j", numbered(4), pipeline="p").pk

    def grows(numbers: list[int]) -> list[int]:
        if len(numbers) > 1:
            raise ExceptionGroup("parts", [ValueError(), MemoryError()])
        return numbers

    assert _replaced(working, Recycling(), batched(grows), batch_items=4) == [OUT_OF_MEMORY]
    assert progress(job)["status"] == "SUCCESS"


def test_a_process_leaves_above_its_size_and_not_below(ledger_db: str, working: Working):
    job = submit("j", numbered(2), pipeline="p").pk
    mb = resident_bytes() // MIB
    assert 10 < mb < 100_000
    (why,) = _replaced(working, Recycling(mb=mb // 2), each(str))
    assert why.startswith("it occupies ")
    recycler, small = Recycler(Recycling(mb=100 * mb)), list[str]()
    recycler.due = small.append
    with working(recycler.watched(each(str))):
        ended(job)
    assert small == []


def test_other_errors_keep_the_worker(ledger_db: str, working: Working):
    job = submit("j", numbered(3), pipeline="p", policy={"retry_backoff_seconds": 0.0}).pk
    recycler, why = Recycler(Recycling()), list[str]()
    recycler.due = why.append

    def fails(n: int) -> int:
        raise (RetryableError if n else ValueError)("no")

    with working(recycler.watched(each(fails))):
        ended(job)
    assert why == []

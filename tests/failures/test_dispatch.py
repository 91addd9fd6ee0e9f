"""DP: filling a job."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Item, ItemRange, Job
from tests.failures.statements import statements_of
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, keys, numbers, status, succeed


def test_DP1_the_first_item_is_leased_long_before_the_last_is_there(
    ledger_db: str, configure: Any
) -> None:
    configure(add_chunk_items=10)
    seen: list[tuple[int, int]] = []

    def stream() -> Iterator[str]:
        for n in range(100):
            if n == 50:
                seen.append((len(worker.lease(limit=5).items), Job.objects.get().total))
            yield f"k{n}"

    submit("dp1", stream(), pipeline="p")
    ((leased, added),) = seen
    assert (leased, Job.objects.get().total) == (5, 100)
    assert 0 < added <= 50


def test_DP2_what_an_item_needs_is_asked_once_when_it_is_added(
    ledger_db: str, caches_kept: None
) -> None:
    """The payload is stored with the item: a lease reads all of them in the same few statements."""
    submit("dp2", ({"key": f"k{n}", "payload": {"url": f"/{n}"}} for n in range(200)), pipeline="p")
    worker.lease(limit=1)
    one = len(statements_of(lambda: worker.lease(limit=1)))
    assert len(statements_of(lambda: worker.lease(limit=50))) <= one


def test_DP3_items_are_queued_as_ranges(ledger_db: str) -> None:
    """Nothing is published item by item: queueing them writes only a few rows of ranges."""
    few = len(statements_of(lambda: submit("dp3", keys(64), pipeline="p")))
    many = len(statements_of(lambda: submit("dp3", keys(2000), pipeline="p")))
    assert many <= few + 20
    assert ItemRange.objects.count() <= 2 + 2000 // 64 + 1


def test_DP4_a_dispatcher_that_is_stuck_holds_up_no_other_job(
    ledger_db: str, configure: Any, in_thread: Any
) -> None:
    configure(add_chunk_items=2)
    stuck, go_on = Event(), Event()

    def stream() -> Iterator[str]:
        yield from keys(4)
        stuck.set()
        assert go_on.wait(30)
        yield "last"

    filling = in_thread(lambda: submit("stuck", stream(), pipeline="p").pk)
    assert stuck.wait(30)
    try:
        other = submit("other", keys(4), pipeline="q")
        worker.drain("q")
        assert status(other) == "SUCCESS"
        assert not filling.done
    finally:
        go_on.set()
    filling.result()


def test_DP5_a_job_without_items_completes(ledger_db: str) -> None:
    assert status(submit("dp5", [], pipeline="p")) == "SUCCESS"


def test_DP5_a_job_whose_items_were_all_done_before_it_was_sealed_completes(
    ledger_db: str,
) -> None:
    job = submit("dp5", keys(2), pipeline="p", seal=False)
    worker.drain()
    assert status(job) == "STARTED"
    seal(job.pk)
    assert status(job) == "SUCCESS"


def test_DP7_no_more_than_a_chunk_is_held_in_memory(ledger_db: str, configure: Any) -> None:
    configure(add_chunk_items=50)
    ahead: list[int] = []

    def stream() -> Iterator[str]:
        for n in range(1000):
            if n % 50 == 0:
                ahead.append(n - Item.objects.count())
            yield f"k{n}"

    submit("dp7", stream(), pipeline="p")
    assert max(ahead) <= 50


def test_DP8_a_retry_works_only_what_did_not_succeed(ledger_db: str) -> None:
    job = submit("dp8", keys(10), pipeline="p")
    succeed(worker.lease(limit=6))
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    lease = worker.lease()
    assert numbers(lease) == [6, 7, 8, 9]
    succeed(lease)
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 10})


def test_DP9_what_a_stage_is_doing_is_derived(ledger_db: str) -> None:
    job = submit("dp9", keys(4), stages=TWO_STAGES)
    succeed(worker.lease("p", limit=2))
    worker.lease("p", limit=1)
    worker.lease("q", limit=1)
    first, second = progress(job.pk)["stages"]
    assert (first["succeeded"], first["in_flight"], first["ready"]) == (2, 1, 1)
    assert (second["in_flight"], second["ready"]) == (1, 1)


@pytest.mark.parametrize("times", [2, 3])
def test_DP1_a_stream_that_broke_off_is_sent_again_from_its_beginning(
    ledger_db: str, times: int
) -> None:
    job = submit("dp1", [], pipeline="p", seal=False)
    for sent in range(1, times + 1):
        add_items(job.pk, keys(10 * sent))
    assert Job.objects.get().total == 10 * times

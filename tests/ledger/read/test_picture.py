"""The picture of all items: each cell says what the database says of its item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.partition import partition
from joblot.ledger.read.picture import Legend, Picture, picture
from joblot.ledger.read.picture_cells import BLOCK_ITEMS, Code
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Job
from joblot.wire import GrantedLease, failure, success
from tests.ledger import worker
from tests.ledger.conftest import Clock, clock, configure, exact
from tests.ledger.worker import TWO_STAGES, keys

__all__ = ["clock", "configure", "exact"]

LETTERS = {
    "ready": ".",
    "waiting": "w",
    "in_flight": "i",
    "succeeded": "s",
    "failed": "f",
    "lost": "l",
    "skipped": "k",
    "not_reached": "_",
    "cancelled_before_start": ".",
    "finished_after_cancel": "a",
    "cancelled_in_flight": "c",
}


def drawn(job: Job, stage: str | None = None, **more: Any) -> str:
    """A letter per item."""
    return as_text(picture(job.pk, stage=stage, **more))


def as_text(found: Picture) -> str:
    return "".join(LETTERS[found.meanings[code]] for code in found.cells)


@pytest.fixture
def job(ledger_db: str) -> Job:
    """In "read", 0 to 5 succeeded, 6 failed, 7 waits for its next try, 8 is leased; in "save", 0
    succeeded, 1 failed, and 2 is leased.
    """
    job = submit("night", keys(12), stages=TWO_STAGES)
    first = worker.lease("p", 9)
    worker.receipts(
        first,
        *map(success, range(6)),
        failure(6, "Bad"),
        failure(7, "Bad", retryable=True),
    )
    second = worker.lease("q", 3)
    assert worker.numbers(second) == [0, 1, 2]
    worker.receipts(second, success(0), failure(1, "Bad"))
    return job


def test_without_a_stage_an_item_has_its_final_state(job: Job) -> None:
    assert drawn(job) == "sfi...fwi..."


def test_a_stage_shows_what_happened_in_it(job: Job) -> None:
    assert drawn(job, "read") == "ssssssfwi..."


def test_a_later_stage_shows_what_was_skipped_and_what_is_not_here_yet(job: Job) -> None:
    assert drawn(job, "save") == "sfi...k_____"
    assert picture(job.pk, stage="save").legend is Legend.STAGE


@pytest.mark.parametrize("stage", ["read", "save"])
@pytest.mark.parametrize("canceled", [False, True])
def test_the_counts_are_those_of_the_progress(job: Job, stage: str, canceled: bool) -> None:
    if canceled:
        cancel(job.pk, grace_seconds=0)
        sweep()
    found = picture(job.pk, stage=stage)
    shown = next(one for one in partition(job.pk)["stages"] if one["name"] == stage)
    counts = dict(zip(found.meanings, found.counts, strict=True))
    counts.pop("", None)
    assert counts == {name: shown[name] for name in counts}
    assert sum(counts.values()) == shown["total"]


def test_what_was_given_back_is_ready_and_what_may_be_tried_again_too(
    ledger_db: str, clock: Clock
) -> None:
    job = submit("four", keys(4), pipeline="p", policy={"retry_backoff_seconds": 10})
    held = worker.lease("p", 4)
    worker.receipts(held, failure(1, "Bad", retryable=True))
    assert drawn(job) == "iwii"
    release(held.token)
    clock.forward(11)
    assert drawn(job) == "...."


def test_what_was_settled_through_another_lease_is_not_in_flight(ledger_db: str) -> None:
    job = submit("two", keys(2), pipeline="p")
    stale = worker.lease("p", 2)
    expire(stale.token)
    worker.lease("p", 2)
    assert worker.receipts(stale, success(0)) == ["counted"]
    assert drawn(job) == "si"


def test_a_lost_item_is_lost(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p", policy={"expiries_max": 1})
    for _ in range(2):
        expire(worker.lease("p", 1).token)
    assert drawn(job) == "l"


def test_a_canceled_job_says_what_became_of_its_open_items(ledger_db: str) -> None:
    """What was finished late, else in flight when the leases were closed, else never started."""
    job = submit("eight", keys(8), pipeline="p")
    released, expired, held = (worker.lease("p", 2) for _ in range(3))
    release(released.token)
    expire(expired.token)
    worker.receipts(held, success(4))
    again = worker.lease("p", 1)
    cancel(job.pk, grace_seconds=0)
    sweep()
    found = picture(job.pk)
    taken = again.items[0].id
    expected = ["."] * 8
    expected[4], expected[5], expected[taken] = "s", "c", "c"
    assert (as_text(found), found.legend) == ("".join(expected), Legend.CANCELED)
    assert worker.receipts(held, success(5)) == ["late"]
    assert worker.receipts(expired, success(3)) == ["late"]
    expected[5] = expected[3] = "a"
    assert drawn(job) == "".join(expected)
    assert progress(job.pk)["finished_after_cancel"] == 2


def test_a_stage_of_a_canceled_job_has_nothing_that_is_not_here_yet(job: Job) -> None:
    cancel(job.pk, grace_seconds=0)
    sweep()
    assert drawn(job) == "sfc...f.c..."
    assert drawn(job, "save") == "sfc...k....."
    assert picture(job.pk, stage="save").legend is Legend.CANCELED


def test_a_picture_is_final_only_if_no_result_can_change_it(ledger_db: str) -> None:
    done, undone = (submit("some", keys(2), pipeline=one) for one in "pq")
    assert not picture(done.pk).is_final
    worker.drain("p")
    worker.lease("q", 1)
    cancel(undone.pk, grace_seconds=0)
    sweep()
    assert (picture(done.pk).is_final, picture(undone.pk).is_final) == (True, False)


def test_a_range_of_items_can_be_shown(job: Job) -> None:
    assert drawn(job, first=5, last=8) == ".fwi"
    assert drawn(job, first=9, last=99) == "..."
    assert drawn(job, first=20) == ""
    assert picture(job.pk, first=5, last=8).first == 5


def test_a_picture_shows_so_many_items(job: Job, configure: Callable[..., None]) -> None:
    configure(picture_items_max=10)
    assert len(picture(job.pk, first=2).cells) == 10
    with pytest.raises(InvalidInput, match="at most 10 items, not 12; ask for a range"):
        picture(job.pk)


def test_what_is_not_there(job: Job) -> None:
    with pytest.raises(InvalidInput, match="stage: expected one of read, save"):
        picture(job.pk, stage="nowhere")
    with pytest.raises(InvalidInput, match="first: expected 0 or more, got -1"):
        picture(job.pk, first=-1)
    with pytest.raises(NotFound):
        picture(job.pk + 1)


def test_a_job_without_items_is_an_empty_picture(ledger_db: str) -> None:
    found = picture(submit("none", [], pipeline="p", seal=False).pk)
    assert (found.cells, sum(found.counts)) == (b"", 0)


class TestAnEarlierPicture:
    """It spares reading what was settled, and never changes what is found."""

    @pytest.fixture
    def stale(self, ledger_db: str) -> GrantedLease:
        """An expired lease of the first items of two blocks. Since then all but the last
        few were settled: 10 and 5,000 failed, the others succeeded.
        """
        submit("blocks", keys(2 * BLOCK_ITEMS), pipeline="p", seal=False)
        stale = worker.lease("p", 16)
        expire(stale.token)
        while leases := claim("p", 1_000).leases:
            settled = (n for n in worker.numbers(leases[0]) if n < 2 * BLOCK_ITEMS - 8)
            worker.receipts(
                leases[0], *(failure(n, "Bad") if n in (10, 5_000) else success(n) for n in settled)
            )
        return stale

    def test_finds_the_same(self, stale: GrantedLease) -> None:
        known = picture(stale.job)
        assert known.complete == {0}
        assert known.counts[Code.FAILED] == 2
        again = picture(stale.job, known=known)
        assert (again.cells, again.tag) == (known.cells, known.tag)
        assert again.complete == {0}

    def test_of_items_that_were_retried_within_the_run(self, stale: GrantedLease) -> None:
        known = picture(stale.job)
        retry(stale.job, failed=True)
        found = picture(stale.job, known=known)
        assert (known.cells[10], found.cells[10]) == (Code.FAILED, Code.READY)
        assert found.complete == frozenset()

    def test_of_an_item_that_was_amended(self, stale: GrantedLease) -> None:
        known = picture(stale.job)
        assert worker.receipts(stale, success(10)) == ["amended"]
        found = picture(stale.job, known=known)
        assert (known.cells[10], found.cells[10]) == (Code.FAILED, Code.SUCCEEDED)
        assert found.cells == picture(stale.job).cells

    def test_of_a_run_before(self, stale: GrantedLease) -> None:
        known = picture(stale.job)
        cancel(stale.job, grace_seconds=0)
        sweep()
        retry(stale.job)
        found = picture(stale.job, known=known)
        assert found.cells == picture(stale.job).cells
        assert found.cells[10] == Code.READY

    def test_of_fewer_items(self, stale: GrantedLease) -> None:
        known = picture(stale.job)
        add_items(stale.job, [f"more {n}" for n in range(10)])
        found = picture(stale.job, known=known)
        assert found.cells == picture(stale.job).cells
        assert len(found.cells) == len(known.cells) + 10

"""Results that another system has recorded: they count once, without a lease and without a hook."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from joblot.errors import WrongStatus
from joblot.ledger.job.lifecycle import cancel, pause, resume, start
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import on_result
from joblot.ledger.report.known import settle_known
from joblot.ledger.report.pending_result import PendingResult, prepare
from joblot.ledger.rows.ranges import RELEASED
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import ItemRange
from joblot.wire import Result, failure, success
from tests.ledger.worker import TWO_STAGES, drain, keys, lease, nothing, numbers, receipts
from tests.threads import Threads


def pending(*results: Result) -> list[PendingResult]:
    return [one for one in prepare(results) if isinstance(one, PendingResult)]


def succeeded(*numbers: int, output: Any = "old") -> list[PendingResult]:
    return pending(*(success(number, output) for number in numbers))


def counts(job: int) -> list[tuple[int, int, int, int]]:
    return [
        (stage["ready"], stage["in_flight"], stage["succeeded"], stage["failed"])
        for stage in progress(job)["stages"]
    ]


def is_exact(job: int) -> bool:
    return bool(audit(job)["ok"])


def test_what_is_known_counts_once_and_is_not_worked_again(ledger_db: str) -> None:
    job = submit("j", keys(6), pipeline="p", start=False).pk
    assert settle_known(job, 0, succeeded(1, 2, 4)) == {1, 2, 4}
    assert settle_known(job, 0, succeeded(2, 3)) == {3}
    assert settle_known(job, 0, succeeded(2, 3)) == set()
    assert is_exact(job)
    start(job)
    assert numbers(lease("p")) == [0, 5]
    assert nothing("p")
    assert counts(job) == [(0, 2, 4, 0)]


def test_a_success_goes_on_to_the_next_stage_and_a_failure_does_not(ledger_db: str) -> None:
    job = submit("j", keys(4), stages=TWO_STAGES).pk
    known = [*succeeded(0, 1), *pending(failure(2, "OldError", "broken"))]
    settle_known(job, 0, known)
    assert [(s["succeeded"], s["failed"], s["skipped"]) for s in progress(job)["stages"]] == [
        (2, 1, 0),
        (0, 0, 1),
    ]
    assert settle_known(job, 1, succeeded(0)) == {0}
    assert is_exact(job)
    (item,) = lease("q").items
    assert (item.id, item.input) == (1, "old")
    assert is_exact(job)


def test_what_is_known_of_the_next_stage_is_left_out_of_its_claims(ledger_db: str) -> None:
    job = submit("j", keys(4), stages=TWO_STAGES).pk
    settle_known(job, 0, succeeded(0, 1, 2))
    ranges = ItemRange.ledger.using(ledger_db).filter(job_id=job, stage=1)
    assert set(ranges.values_list("returns", flat=True)) == {RELEASED}, "before any is known"
    settle_known(job, 1, succeeded(1))
    assert numbers(lease("q")) == [0, 2]
    assert is_exact(job)


def test_the_last_known_result_ends_the_job(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p").pk
    settle_known(job, 0, succeeded(0, 1))
    assert progress(job)["status"] == "SUCCESS"
    assert is_exact(job)


def test_a_worker_that_holds_the_item_meanwhile_is_told_that_it_is_settled(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p").pk
    held = lease("p")
    assert settle_known(job, 0, succeeded(0, 1)) == {0, 1}
    reported = [success(0, "old"), success(1, "new"), success(2, "new")]
    assert receipts(held, *reported) == ["duplicate", "conflicting", "counted"]
    assert (progress(job)["status"], counts(job)) == ("SUCCESS", [(0, 0, 3, 0)])
    assert is_exact(job)


def test_items_that_are_added_later_are_left_out_of_claims_too(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p", seal=False).pk
    settle_known(job, 0, succeeded(0))
    add_items(job, ["more"])
    settle_known(job, 0, succeeded(2))
    seal(job)
    assert numbers(lease("p")) == [1]
    assert is_exact(job)


def test_no_hook_runs_because_the_rows_are_there_already(ledger_db: str) -> None:
    saved: list[str] = []

    @on_result("known")
    def save(results: Sequence[Any]) -> None:
        saved.extend(result.key for result in results)

    job = submit("j", keys(3), pipeline="known").pk
    settle_known(job, 0, succeeded(0, 1))
    drain("known")
    assert saved == ["k2"]
    assert progress(job)["status"] == "SUCCESS"


def test_the_metrics_of_known_results_are_summed(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p").pk
    settle_known(job, 0, pending(success(0, None, {"found": 3}), success(1, None, {"found": 4})))
    assert progress(job)["stages"][0]["metrics"] == {"found": 7}
    assert is_exact(job)


def test_a_job_that_is_over_takes_none(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p").pk
    pause(job)
    assert settle_known(job, 0, succeeded(0)) == {0}
    resume(job)
    cancel(job, grace_seconds=0)
    with pytest.raises(WrongStatus, match="takes no known results"):
        settle_known(job, 0, succeeded(1))
    assert progress(job)["stages"][0]["succeeded"] == 1
    assert is_exact(job)


def test_workers_and_known_results_meet_and_every_item_counts_once(
    ledger_db: str, in_thread: Threads
) -> None:
    job = submit("j", keys(120), pipeline="p").pk
    worker = in_thread(drain, "p")
    moved: set[int] = set()
    with suppress(WrongStatus):  # the worker was faster, and the job has ended
        for n in range(119, 0, -5):
            moved |= settle_known(job, 0, succeeded(*range(n - 4, n + 1)))
    worker.result()
    drain("p")
    assert (progress(job)["status"], counts(job)) == ("SUCCESS", [(0, 0, 120, 0)])
    assert moved <= set(range(120))
    assert is_exact(job)

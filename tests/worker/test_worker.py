"""The worker's loop, on a real ledger: how it handles leases, receipts and faults."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from joblot import config
from joblot.cli.local_client import LocalClient
from joblot.errors import RetryableError, Unavailable
from joblot.ledger.lease import expire_overdue
from joblot.ledger.read.audit import audit
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report import hooks
from joblot.ledger.submit.submit import submit
from joblot.wire import Claim, ItemReceipt, Result
from joblot.worker import Output, batched, each, lease
from tests.ledger.conftest import Clock
from tests.polling import eventually
from tests.worker.conftest import Working, ended, numbered
from tests.worker.renewals import LEASE_SECONDS, Renewals


def _counts(job_id: int) -> dict[str, int]:
    stage = progress(job_id)["stages"][0]
    return {name: stage[name] for name in ("succeeded", "failed", "lost", "in_flight", "ready")}


def test_every_item_is_computed_once_and_counted(ledger_db: str, working: Working):
    job = submit("j", numbered(300), pipeline="p")
    calls: list[int] = []

    def square(n: int) -> Output:
        calls.append(n)
        return Output(n * n, {"seen": 1})

    with working(each(square)):
        state = ended(job.pk)
    assert state["status"] == "SUCCESS"
    assert state["stages"][0]["metrics"] == {"seen": 300}
    assert sorted(calls) == list(range(300))
    assert audit(job.pk)["ok"]


def test_a_function_may_ask_what_it_works_for(ledger_db: str, working: Working):
    job = submit("j", numbered(1), pipeline="p", config={"scale": 3})

    async def scaled(n: int) -> list[Any]:
        return [lease().config["scale"], lease().job, lease().stage]

    with working(each(scaled)):
        ended(job.pk)
    assert items(job.pk)[0]["outcomes"][0]["output"] == [3, job.pk, "p"]
    with pytest.raises(LookupError):
        lease()


def test_batches_are_as_large_as_asked(ledger_db: str, working: Working):
    job = submit("j", numbered(20), pipeline="p")
    sizes: list[int] = []

    def count(numbers: list[int]) -> list[int]:
        sizes.append(len(numbers))
        return numbers

    with working(batched(count), batch_items=8):
        ended(job.pk)
    assert max(sizes) <= 8
    assert sum(sizes) == 20
    assert len(sizes) <= 4


def test_a_failure_is_final_and_a_retryable_one_is_tried_within_its_budget(
    ledger_db: str, working: Working
):
    policy = {"retry_backoff_seconds": 0.0, "failures_max": 3}
    job = submit("j", ["passes later", "never passes", "bad"], pipeline="p", policy=policy)
    tries: dict[str, int] = {}

    def work(key: str) -> str:
        tries[key] = tries.get(key, 0) + 1
        if key == "bad":
            raise ValueError("broken")
        if key == "never passes" or tries[key] < 3:
            raise RetryableError("busy")
        return key

    with working(each(work)):
        state = ended(job.pk)
    assert tries == {"passes later": 3, "never passes": 3, "bad": 1}
    assert state["status"] == "FAILURE"
    assert _counts(job.pk)["succeeded"] == 1


def test_a_drain_finishes_the_current_item_and_gives_back_the_rest(
    ledger_db: str, working: Working
):
    job = submit("j", numbered(50), pipeline="p")
    begun, go_on = threading.Event(), threading.Event()

    def work(n: int) -> int:
        if n >= 1:  # from the second lease on, which holds many
            begun.set()
            assert go_on.wait(30)
        return n

    with working(each(work)) as worker:
        assert begun.wait(30)
        worker.drain()
        go_on.set()
    counts = _counts(job.pk)
    assert counts["succeeded"] >= 2
    assert counts["in_flight"] == 0
    assert counts["ready"] == 50 - counts["succeeded"]
    assert audit(job.pk)["ok"]


def test_a_slow_item_keeps_its_lease(ledger_db: str, working: Working, clock: Clock):
    job = submit("j", ["slow"], pipeline="p", policy={"lease_seconds": LEASE_SECONDS})
    renewals = Renewals(clock)
    go_on = threading.Event()

    def work(key: str) -> str:
        assert go_on.wait(30)
        return key

    with working(each(work), client=renewals):
        for _ in range(6):  # two take as long as a lease
            renewals.wait(1)
            assert expire_overdue() == 0
        go_on.set()
        assert ended(job.pk)["status"] == "SUCCESS"
    assert renewals.every_seconds < LEASE_SECONDS


def test_a_frozen_call_loses_its_lease_while_the_process_lives(ledger_db: str, working: Working):
    job = submit("j", ["frozen"], pipeline="p", policy={"lease_seconds": 0.3})
    go_on, frozen = threading.Event(), threading.Event()

    def work(key: str) -> str:
        assert go_on.wait(30)
        return key

    with working(each(work), item_seconds_max=0.2, on_frozen=lambda seconds: frozen.set()):
        assert frozen.wait(30)
        eventually(expire_overdue)
        with working(each(lambda key: "done by another")):
            assert ended(job.pk)["status"] == "SUCCESS"
        go_on.set()
    (item,) = items(job.pk)
    assert item["outcomes"][0]["output"] == "done by another"


def test_a_batch_tried_one_by_one_is_not_frozen_as_long_as_each_item_is_in_time(
    ledger_db: str, working: Working
):
    job = submit("j", numbered(6), pipeline="p")
    frozen, slowness = threading.Event(), threading.Event()

    def work(numbers: list[int]) -> list[int]:
        if len(numbers) > 1:
            raise MemoryError
        slowness.wait(0.6)
        return numbers

    more = {"item_seconds_max": 3.0, "on_frozen": lambda seconds: frozen.set()}
    with working(batched(work), batch_items=6, **more):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert not frozen.is_set()


def test_a_deferred_result_is_posted_again_and_computed_once(
    ledger_db: str, working: Working, own_hooks: None
):
    calls: list[str] = []
    saved: list[int] = []

    @hooks.on_result("p")
    def save(results: Sequence[hooks.SettledResult]) -> None:
        saved.append(len(results))
        if len(saved) <= 1:
            raise RuntimeError("the disk of the adopter is full, for now")

    job = submit("j", ["one"], pipeline="p")
    with working(each(calls.append)):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert calls == ["one"]
    assert len(saved) == 2


def test_the_log_says_why_results_are_deferred_and_not_each_time(
    ledger_db: str, working: Working, own_hooks: None, caplog: pytest.LogCaptureFixture
):
    calls = []

    @hooks.on_result("p")
    def save(results: Sequence[hooks.SettledResult]) -> None:
        calls.append(len(results))
        if len(calls) <= 3:
            raise KeyError("x")

    job = submit("j", ["one"], pipeline="p")
    with working(each(len)):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert len(calls) == 4
    lines = [record.message for record in caplog.records if "deferred: " in record.message]
    why = "on_result('p') raised KeyError: 'x'; post it again later"
    assert lines == [f"1 result is deferred: {why}"]


class _Away(LocalClient):
    """The ledger, behind a link that is down at first, or loses answers."""

    def __init__(self, claims_lost: int = 0, reports_lost: int = 0) -> None:
        super().__init__()
        self.claims_lost, self.reports_lost = claims_lost, reports_lost

    def claim(self, *args: Any, **kwargs: Any) -> Claim:
        answer = super().claim(*args, **kwargs)
        if self.claims_lost:
            self.claims_lost -= 1
            raise Unavailable("the answer was lost")
        return answer

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        answer = super().report(token, results)
        if self.reports_lost:
            self.reports_lost -= 1
            raise Unavailable("the answer was lost")
        return answer


def test_a_lost_answer_to_a_claim_or_a_report_costs_no_computing(ledger_db: str, working: Working):
    job = submit("j", numbered(5), pipeline="p")
    calls: list[int] = []
    with working(each(calls.append), client=_Away(claims_lost=1, reports_lost=1)):
        state = ended(job.pk)
        eventually(lambda: not in_flight(job=job.pk))
    assert state["status"] == "SUCCESS"
    assert sorted(calls) == list(range(5))
    assert audit(job.pk)["ok"]


def test_a_result_that_can_never_be_accepted_fails_its_item(ledger_db: str, working: Working):
    config.configure({"output_bytes_max": 100})
    try:
        job = submit("j", numbered(3), pipeline="p")
        with working(each(lambda n: "x" * 1000 if n == 1 else n)):
            assert ended(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    finally:
        config.configure({})
    (failed,) = items(job.pk, state="failed")
    assert failed["key"] == "k1"
    assert "at most 100 bytes" in failed["outcomes"][0]["error"]["message"]


def test_a_worker_owes_no_receipts_when_it_begins_another_lease(ledger_db: str, working: Working):
    """Otherwise finished items would be blamed for the process's death in the next lease."""
    job = submit("j", numbered(30), pipeline="p")
    unsettled: list[int] = []

    def work(n: int) -> int:
        unsettled.append(len(in_flight(job=job.pk)))
        return n

    with working(each(work), claim_aim_seconds=0.0):
        ended(job.pk)
    assert unsettled == [1] * 30

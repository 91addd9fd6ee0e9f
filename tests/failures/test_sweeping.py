"""RP: sweepers, reapers and timers that destroy healthy work."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from django.db import OperationalError, connections

from joblot import faults
from joblot.config import Limits
from joblot.errors import Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire_overdue, renew
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.policy import Policy
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, nothing, numbers, status, succeed
from tests.races.meeting import COMMIT, Gate

DAY = 86_400


def test_RP1_no_item_is_failed_without_a_cause_of_its_own(ledger_db: str, clock: Any) -> None:
    """784 results were saved when their handler died before reconciling; none failed later."""
    job = submit("rp1", keys(784), pipeline="p")
    lease = worker.lease(limit=784)

    def dies() -> None:
        raise SystemExit

    with faults.armed("report: committed, not looked", dies), pytest.raises(SystemExit):
        succeed(lease)
    clock.forward(DAY)
    sweep()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 784})


def test_RP1_lost_is_an_outcome_of_its_own_with_a_cause_and_can_be_retried(
    ledger_db: str, clock: Any
) -> None:
    job = submit("rp1", keys(1), pipeline="p", policy={"expiries_max": 1, "lease_seconds": 10})
    for _ in range(2):
        worker.lease()
        clock.forward(11)
        sweep()
    assert counts(job) == {"lost": 1}
    (lost,) = items(job.pk, state="lost")
    assert "expired" in lost["outcomes"][0]["error"]["message"]
    retry(job.pk)
    succeed(worker.lease())
    assert status(job) == "SUCCESS"


def test_RP2_one_stuck_item_costs_that_item(ledger_db: str, clock: Any) -> None:
    job = submit("rp2", keys(100), pipeline="p", policy={"lease_seconds": 10, "expiries_max": 2})
    stuck = worker.lease(limit=1)
    worker.drain()
    assert (status(job), counts(job)) == ("STARTED", {"succeeded": 99})
    for _ in range(3):
        clock.forward(11)
        sweep()
        claim("p")  # by a worker that never responds
    assert (status(job), counts(job)) == ("COMPLETED_WITH_ERRORS", {"succeeded": 99, "lost": 1})
    assert succeed(stuck) == ["amended"]
    assert status(job) == "SUCCESS"


def test_RP3_a_sweeper_that_slept_destroys_nothing(ledger_db: str, clock: Any) -> None:
    """No sweep for an hour while results arrive: all are saved, and the job completes."""
    saved: list[str] = []
    on_result("p")(lambda results: saved.extend(result.key for result in results))
    job = submit("rp3", keys(62), pipeline="p")
    leases = [worker.lease(limit=31) for _ in range(2)]
    clock.forward(3600)
    assert [set(succeed(lease)) for lease in leases] == [{"counted"}] * 2
    sweep()
    assert (status(job), len(saved)) == ("SUCCESS", 62)


def test_RP3_what_was_reported_before_the_sweep_awoke_counts_whatever_it_expires(
    ledger_db: str, clock: Any
) -> None:
    job = submit("rp3", keys(10), pipeline="p")
    lease = worker.lease()
    clock.forward(DAY)
    sweep()
    assert set(succeed(lease)) == {"counted"}
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 10})


@pytest.mark.parametrize("row", ["RP4", "RP6"])
def test_RP4_RP6_a_long_silent_filling_is_left_alone(ledger_db: str, clock: Any, row: str) -> None:
    job = submit(row, keys(5), pipeline="p", start=row == "RP4", seal=False)
    clock.forward(DAY)
    sweep()
    assert status(job) in ("PENDING", "CREATED")
    add_items(job.pk, ["one more"])
    seal(job.pk)
    assert status(job) in ("PENDING", "CREATED")


def test_RP5_a_created_job_waits_forever_and_is_seen_by_no_worker(
    ledger_db: str, clock: Any
) -> None:
    job = submit("rp5", keys(5), pipeline="p", start=False)
    clock.forward(30 * DAY)
    sweep()
    assert status(job) == "CREATED"
    assert nothing()


def test_RP7_waiting_is_not_failing(ledger_db: str, clock: Any) -> None:
    job = submit("rp7", keys(5), pipeline="p")
    clock.forward(2 * 3600)
    sweep()
    assert (status(job), counts(job)) == ("PENDING", {})
    worker.drain()
    assert status(job) == "SUCCESS"


def test_RP8_the_loss_of_items_takes_no_others_along(ledger_db: str, clock: Any) -> None:
    job = submit("rp8", keys(20), pipeline="p", policy={"lease_seconds": 10, "expiries_max": 1})
    lease = worker.lease(limit=20)
    succeed(lease, *range(17))
    for _ in range(4):
        clock.forward(11)
        sweep()
        while claim("p").leases:  # by workers that never respond
            pass
    assert (status(job), counts(job)) == ("COMPLETED_WITH_ERRORS", {"succeeded": 17, "lost": 3})


def test_RP11_the_sweep_waits_for_nobody(ledger_db: str, clock: Any, in_thread: Any) -> None:
    """The sweep skips a running report, however slow its hook is."""
    if ledger_db == "sqlite":
        pytest.skip("one writer at a time")
    on_result("p")(lambda results: None)
    job = submit("rp11", keys(2), pipeline="p")
    lease = worker.lease()
    clock.forward(DAY)
    gate = Gate(COMMIT)
    slow = in_thread(gate.through(lambda: succeed(lease)))
    gate.wait()
    sweep()
    gate.open()
    assert slow.result() == ["counted", "counted"]
    assert status(job) == "SUCCESS"


def test_RP12_an_error_is_not_an_empty_answer(ledger_db: str, clock: Any) -> None:
    """A store failure during a sweep produces no verdict: the transaction is rolled back."""
    job = submit("rp12", keys(2), pipeline="p", policy={"lease_seconds": 10})
    worker.lease()
    clock.forward(11)
    away: list[str] = []

    def fails(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if away or "joblot_range" in sql:
            away.append(sql)
            raise OperationalError("the store is away")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(fails), pytest.raises(Unavailable):
        expire_overdue()
    assert (status(job), counts(job)) == ("STARTED", {})
    sweep()
    assert numbers(worker.lease()) == [0, 1]


def test_RP13_a_limit_has_one_meaning() -> None:
    """No name is in both, so that no constant is reused for another purpose."""
    limits = {field.name for field in fields(Limits)}
    policy = {field.name for field in fields(Policy)}
    assert not limits & policy
    assert not [name for name in limits | policy if "stale" in name or "reap" in name]


def test_RP14_slow_is_not_dead(ledger_db: str, clock: Any) -> None:
    """One item takes twelve minutes, with a renewed lease of five."""
    job = submit("rp14", keys(3), pipeline="p")
    while leases := claim("p", 1).leases:
        (lease,) = leases
        for _ in range(4):
            clock.forward(180)
            renew(lease.token)
            sweep()
        assert succeed(lease) == ["counted"]
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 3})


def test_RP7_a_failure_needs_a_report(ledger_db: str) -> None:
    job = submit("rp7", keys(2), pipeline="p")
    fail(worker.lease(), 0)
    (failed,) = items(job.pk, state="failed")
    error = failed["outcomes"][0]["error"]
    assert (error["type"], error["message"]) == ("Bad", "broken")

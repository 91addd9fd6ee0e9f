"""NT: work that is delivered and never answered."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connections

from joblot.errors import LeaseEnded, Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import renew
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from tests.failures.statements import statements_of
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, nothing, numbers, status, succeed

DROPS_MAX = 10


def test_NT1_an_item_that_is_taken_and_dropped_is_lost_and_its_job_ends(
    ledger_db: str, clock: Any
) -> None:
    job = submit("nt1", keys(2), pipeline="p", policy={"lease_seconds": 10, "expiries_max": 3})
    succeed(worker.lease(limit=1))
    for _ in range(DROPS_MAX):
        if claim("p").leases:
            clock.forward(11)
            sweep()
    assert (status(job), counts(job)) == ("COMPLETED_WITH_ERRORS", {"succeeded": 1, "lost": 1})
    (lost,) = items(job.pk, state="lost")
    assert "not renewed" in lost["outcomes"][0]["error"]["message"]


def test_NT2_a_report_that_dies_at_any_statement_is_repeated(ledger_db: str) -> None:
    """The ledger is the only acknowledgement: before the commit nothing counts, then all does."""
    died, nth = True, 0
    while died:
        died, nth = False, nth + 1
        job = submit("nt2", keys(2), pipeline="p", policy={"failures_max": 2})
        lease = worker.lease(job=job.pk)
        left = nth

        def dies(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise SystemExit
            return execute(sql, params, many, context)

        with connections[ledger_db].execute_wrapper(dies):
            try:
                succeed(lease)
            except SystemExit:
                died = True
        assert set(succeed(lease)) <= {"counted", "duplicate"}
        assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 2})
    assert nth > 2


def test_NT3_an_item_that_takes_longer_than_its_lease_is_delivered_once(
    ledger_db: str, clock: Any
) -> None:
    job = submit("nt3", keys(1), pipeline="p", policy={"lease_seconds": 30})
    lease = worker.lease()
    for _ in range(10):
        clock.forward(20)
        renew(lease.token)
        sweep()
        assert nothing()
    assert succeed(lease) == ["counted"]
    assert status(job) == "SUCCESS"


def test_NT4_expiries_and_reported_failures_have_budgets_of_their_own(
    ledger_db: str, clock: Any
) -> None:
    """The smallest budget of failures, and many more unanswered deliveries."""
    policy = {"lease_seconds": 10, "failures_max": 1, "expiries_max": 4}
    job = submit("nt4", keys(1), pipeline="p", policy=policy)
    for _ in range(4):
        worker.lease()
        clock.forward(11)
        sweep()
    assert (status(job), counts(job)) == ("STARTED", {})
    assert succeed(worker.lease()) == ["counted"]


def test_NT4_a_lost_answer_to_a_claim_burns_no_delivery(ledger_db: str) -> None:
    submit("nt4", keys(4), pipeline="p")
    answers = [worker.lease(limit=4, idempotency_key="asked once") for _ in range(3)]
    assert len({lease.token for lease in answers}) == 1
    assert {item.attempt for lease in answers for item in lease.items} == {1}


def test_NT5_NT13_what_is_in_flight_and_what_was_lost_is_in_the_ledger(
    ledger_db: str, clock: Any
) -> None:
    job = submit("nt5", keys(3), pipeline="p", policy={"lease_seconds": 10, "expiries_max": 1})
    worker.lease(limit=1)
    assert progress(job.pk)["stages"][0]["in_flight"] == 1
    for _ in range(DROPS_MAX):
        claim("p", 1)
        clock.forward(11)
        sweep()
    (stage,) = progress(job.pk)["stages"]
    assert (stage["in_flight"], stage["ready"], stage["lost"]) == (0, 0, 3)
    clock.forward(365 * 86_400)
    sweep()
    causes = [item["outcomes"][0]["error"]["message"] for item in items(job.pk, state="lost")]
    assert len(causes) == 3
    assert all(causes)


def test_NT6_no_receipt_is_given_for_what_did_not_reach_the_database(ledger_db: str) -> None:
    job = submit("nt6", keys(1), pipeline="p")
    lease = worker.lease()

    def cut(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("the connection is gone")

    with connections[ledger_db].execute_wrapper(cut), pytest.raises(Unavailable):
        succeed(lease)
    assert counts(job) == {}
    assert succeed(lease) == ["counted"]


def test_NT7_work_of_a_closed_run_is_not_leasable_and_not_renewable(ledger_db: str) -> None:
    job = submit("nt7", keys(4), pipeline="p")
    old = worker.lease(limit=2)
    cancel(job.pk, grace_seconds=0)
    assert nothing()
    retry(job.pk)
    with pytest.raises(LeaseEnded):
        renew(old.token)
    assert worker.lease().run == 2


def test_NT8_empty_and_unavailable_are_different_answers(ledger_db: str) -> None:
    job = submit("nt8", keys(1), pipeline="p")
    empty = claim("another")
    assert (empty.leases, empty.reason) == ((), "unknown_pipeline")
    assert empty.retry_after_seconds > 0

    def stopped(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("the server is stopped")

    with connections[ledger_db].execute_wrapper(stopped), pytest.raises(Unavailable):
        claim("p")
    assert status(job) == "PENDING"
    assert numbers(worker.lease()) == [0]


def test_NT9_what_waits_is_kept_as_long_as_its_job(ledger_db: str, clock: Any) -> None:
    submit("nt9", keys(4), pipeline="p")
    for _ in range(31):
        clock.forward(25 * 3600)
        sweep()
    assert numbers(worker.lease()) == [0, 1, 2, 3]


def test_NT10_a_claim_costs_the_same_for_any_number_of_items_and_jobs(ledger_db: str) -> None:
    submit("nt10", keys(1000), pipeline="p")
    worker.lease()
    few = len(statements_of(lambda: worker.lease(limit=1)))
    for _ in range(20):
        submit("more", keys(10), pipeline="p")
    many = len(statements_of(lambda: worker.lease(limit=64)))
    assert many <= few + 2
    claim("empty")  # that it was asked for is written once in a while
    assert len(statements_of(lambda: claim("empty"))) == 2


def test_NT11_what_is_queued_is_what_is_handed_out(ledger_db: str) -> None:
    """A job's depth is read from the same rows that claims are served from."""
    job = submit("nt11", keys(15), pipeline="p")
    other = submit("other", keys(3), pipeline="p")
    assert [progress(j.pk)["stages"][0]["ready"] for j in (job, other)] == [15, 3]
    assert len(worker.lease(limit=16, job=job.pk).items) == 15
    assert progress(job.pk)["stages"][0]["ready"] == 0
    assert nothing(job=job.pk)


def test_NT4_a_reported_failure_uses_up_its_own_budget_only(ledger_db: str) -> None:
    job = submit("nt4", keys(1), pipeline="p", policy={"failures_max": 1, "expiries_max": 5})
    assert fail(worker.lease(), retryable=True) == ["counted"]
    assert counts(job) == {"failed": 1}

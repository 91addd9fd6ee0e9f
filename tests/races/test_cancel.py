"""A cancel leaves the leases through which every item was settled. What may come through them?"""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import LeaseEnded
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, renew
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease, Outcome
from joblot.states import JobStatus, LeaseState
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, numbers, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting, waiting

TAKES_THE_JOB = "FOR NO KEY UPDATE"
CHANGES_THE_JOB = "WITH changed"
CLOSES = "UPDATE joblot_lease"
RECONCILES = "AS drained"


def state(lease: Any) -> LeaseState:
    return LeaseState(Lease.objects.get(pk=lease.token).state)


def half_failed() -> tuple[Job, Any]:
    """A job of four items, and the lease through which two have failed; nothing else is leased."""
    job = submit("canceled", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    assert fail(lease) == ["counted", "counted"]
    return job, lease


def gave_back() -> tuple[Job, Any]:
    """A job of four items, and a spent lease that has settled item 1 and given back item 0."""
    job = submit("canceled", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    assert fail(lease, 0, retryable=True) == ["requeued"]
    assert succeed(lease, 1) == ["counted"]
    assert state(lease) == LeaseState.SPENT
    return job, lease


def recorded_successes() -> int:
    recorded: Any = Job.objects.get().recorded
    return int(recorded[0]["succeeded"])


def cancel_now(job: Job) -> str:
    return cancel(job.pk, grace_seconds=0).status


class TestTheLeasesThatStayAsTheyAre:
    def test_are_those_whose_every_item_has_an_outcome(self, ledger_db: str) -> None:
        job = submit("canceled", keys(10), pipeline="p", policy={"retry_backoff_seconds": 0})
        settled, returned, expired = (worker.lease(limit=2) for _ in range(3))
        partly, untouched = worker.lease(limit=2), worker.lease(limit=2)
        succeed(settled)
        fail(returned, int(returned.items[0].id), retryable=True)
        succeed(returned, int(returned.items[1].id))
        expire(expired.token)
        succeed(partly, int(partly.items[0].id))
        assert cancel_now(job) == "REVOKED"
        assert state(settled) == LeaseState.SPENT
        assert {state(one) for one in (returned, expired, partly, untouched)} == {LeaseState.CLOSED}
        assert succeed(settled) == ["duplicate"] * 2
        assert [succeed(one) for one in (expired, untouched)] == [["late"] * 2] * 2

    def test_are_not_waited_for(self, postgres_only: str, connect: Any) -> None:
        job, lease = half_failed()
        with holding(connect(), "SELECT 1 FROM joblot_lease FOR UPDATE"):
            assert (cancel_now(job), waiting()) == ("REVOKED", 0)
        assert state(lease) == LeaseState.SPENT

    def test_are_of_no_further_use(self, ledger_db: str) -> None:
        job, lease = half_failed()
        cancel_now(job)
        assert succeed(lease) == ["late", "late"]
        assert counts(job) == {"failed": 2}
        with pytest.raises(LeaseEnded, match="has closed"):
            renew(lease.token)


class TestOneThatGaveAnItemBack:
    def test_is_waited_for_while_the_item_is_settled(
        self, postgres_only: str, in_thread: Any
    ) -> None:
        on_result("p")(lambda results: None)  # so that the report can be stopped
        job, lease = gave_back()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(lease, 0)))
        gate.wait()
        b = in_thread(lambda: cancel_now(job))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted"], "REVOKED")
        assert counts(job) == {"succeeded": 2}
        assert state(lease) == LeaseState.CLOSED

    def test_keeps_the_job_from_being_revoked_until_it_is_closed(
        self, postgres_only: str, in_thread: Any
    ) -> None:
        job, _ = gave_back()
        gate = Gate(CLOSES)
        a = in_thread(gate.through(lambda: cancel_now(job)))
        gate.wait()
        assert reconcile(job.pk) == JobStatus.CANCELING
        gate.open()
        assert a.result() == "REVOKED"

    def test_is_closed_so_that_the_item_is_not_settled_afterwards(self, ledger_db: str) -> None:
        job, lease = gave_back()
        cancel_now(job)
        assert state(lease) == LeaseState.CLOSED
        assert succeed(lease, 0) == ["late"]
        assert counts(job) == {"succeeded": 1}


@pytest.mark.usefixtures("postgres_only")
class TestAnAmendmentThroughOneThatIsNotClosed:
    def test_in_flight_is_waited_for_by_the_cancel(self, in_thread: Any) -> None:
        job, lease = half_failed()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        b = in_thread(lambda: cancel_now(job))
        until_waiting()
        assert status(job) == "STARTED"
        gate.open()
        assert (a.result(), b.result()) == (["amended", "amended"], "REVOKED")
        assert recorded_successes() == 2

    def test_that_comes_after_the_end_of_the_run_is_late(self, in_thread: Any) -> None:
        job, lease = half_failed()
        gate = Gate(TAKES_THE_JOB)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        assert cancel_now(job) == "REVOKED"
        gate.open()
        assert a.result() == ["late", "late"]
        assert counts(job) == {"failed": 2}

    def test_while_the_cancel_has_read_the_counts_is_counted_by_it(self, in_thread: Any) -> None:
        job, lease = half_failed()
        ends, reconciles = Gate(CHANGES_THE_JOB, nth=2), Gate(RECONCILES)
        a = in_thread(ends.through(lambda: cancel_now(job)))
        ends.wait()
        b = in_thread(reconciles.through(lambda: succeed(lease)))
        reconciles.wait()  # the amendment is committed
        ends.open()
        assert a.result() == "REVOKED"
        assert recorded_successes() == 2
        reconciles.open()
        assert b.result() == ["amended", "amended"]

    def test_that_a_retry_has_overtaken_is_late(self, in_thread: Any) -> None:
        job = submit("retried", keys(2), pipeline="p")
        lease = worker.lease()
        fail(lease)
        gate = Gate(TAKES_THE_JOB)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        b = in_thread(lambda: retry(job.pk).run)
        until_waiting()  # the next run has begun, and the retry waits for the lease
        gate.open()
        assert (a.result(), b.result()) == (["late", "late"], 2)
        assert numbers(worker.lease()) == [0, 1]


class TestARetryOfACanceledJob:
    def test_closes_every_lease(self, ledger_db: str) -> None:
        job, lease = half_failed()
        cancel_now(job)
        assert retry(job.pk).run == 2
        assert state(lease) == LeaseState.CLOSED
        assert succeed(lease) == ["late", "late"]
        again = worker.lease()
        assert len(succeed(again)) == 4
        assert status(job) == "SUCCESS"

    def test_closes_them_before_it_reopens_an_item(
        self, postgres_only: str, in_thread: Any, connect: Any
    ) -> None:
        job, lease = half_failed()
        cancel_now(job)
        with holding(connect(), "SELECT 1 FROM joblot_lease FOR UPDATE"):
            a = in_thread(lambda: retry(job.pk).run)
            until_waiting()
            assert Outcome.objects.count() == 2
            b = in_thread(lambda: succeed(lease))
            until_waiting(2)
        assert (a.result(), b.result()) == (2, ["late", "late"])
        assert counts(job) == {}

"""Variants that were tried and are wrong: each breaks in an order in which joblot does not.

The wrong variants are written here in the fewest statements that show the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.report.hooks import on_result
from joblot.ledger.rows.due import decide, read_snapshot
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease, Outcome, Tally
from joblot.states import LeaseState
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, nothing, numbers, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting

pytestmark = pytest.mark.usefixtures("postgres_only")


def run(sql: str, params: Any = ()) -> list[Any]:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def recorded() -> dict[str, int]:
    """What the last finish or amendment has recorded for the only stage."""
    stages = Job.objects.get().recorded
    assert stages is not None
    (stage,) = stages
    return dict(stage)


def is_deadlock(error: BaseException | None) -> bool:
    return getattr(getattr(error, "__cause__", None), "sqlstate", "") == "40P01"


class TestAShareLockOnTheJobInClaims:
    """Claims that share-lock the job's row delay a cancel, and so do later claims."""

    def test_wrong_a_later_claimer_passes_the_cancel_that_waits(
        self, in_thread: Any, connect: Any
    ) -> None:
        job = submit("starve", keys(20), pipeline="p")
        share = "SELECT 1 FROM joblot_job WHERE id = %s FOR SHARE"
        with holding(connect(), share, [job.pk]):
            waits = in_thread(lambda: pause(job.pk).status)
            until_waiting()
            with holding(connect(), share, [job.pk]) as later:
                assert later.fetchone() == (1,)  # granted, although the pause came first
                assert not waits.done
        assert waits.result() == "PAUSED"

    def test_right_claimers_hold_nothing_of_the_jobs_row(self, in_thread: Any) -> None:
        job = submit("starve", keys(200), pipeline="p")
        gates = [Gate(COMMIT), Gate(COMMIT)]
        claims = [in_thread(gate.through(lambda: claim("p"))) for gate in gates]
        for gate in gates:
            gate.wait()
        assert pause(job.pk).status == "PAUSED"
        for gate in gates:
            gate.open()
        assert all(claimed.result() for claimed in claims)


class TestClosingOnlyLiveLeasesAtCancel:
    def expired_lease(self) -> tuple[Any, Any]:
        job = submit("cancel", keys(2), pipeline="p")
        lease = worker.lease()
        expire(lease.token)
        return job, lease

    def test_wrong_the_counts_of_a_revoked_job_go_on(self, in_thread: Any) -> None:
        job, lease = self.expired_lease()
        cancel(job.pk, grace_seconds=0)
        # As if the cancel had closed only the live leases.
        Lease.ledger.filter(pk=lease.token).update(state=LeaseState.EXPIRED)
        before = recorded()
        succeed(lease)
        assert before["succeeded"] == 0
        assert counts(job) == {"succeeded": 2}  # "final" counts that changed again
        Outcome.ledger.filter(job_id=job.pk).delete()
        Tally.ledger.filter(job_id=job.pk).delete()
        close_leases(job.pk, 1)

    def test_right_a_late_success_is_told_so(self) -> None:
        job, lease = self.expired_lease()
        cancel(job.pk, grace_seconds=0)
        assert succeed(lease) == ["late", "late"]
        assert counts(job) == {}


class TestFinishingWithoutTheVersion:
    """The guard waits for the row and is checked on its new version; the tallies are stale."""

    GUARD = "status IN ('PENDING', 'STARTED', 'PAUSED')"

    def test_wrong_a_stalled_finish_ends_the_next_run(self, in_thread: Any, connect: Any) -> None:
        job = submit("stall", keys(2), pipeline="p")
        fail(worker.lease())
        run("CREATE TABLE wrong AS SELECT id, status::text, run FROM joblot_job")
        run("UPDATE wrong SET status = 'STARTED'")
        try:
            with holding(connect(), "SELECT 1 FROM wrong FOR UPDATE") as other:
                stalled = in_thread(
                    lambda: run(f"UPDATE wrong SET status = 'FAILURE' WHERE {self.GUARD}")
                )
                until_waiting()
                other.execute("UPDATE wrong SET status = 'FAILURE'")
                other.execute("UPDATE wrong SET status = 'STARTED', run = 2")
            stalled.result()
            assert run("SELECT status, run FROM wrong") == [
                ("FAILURE", 2)
            ]  # none of its items was processed
        finally:
            run("DROP TABLE wrong")
        assert status(job) == "FAILURE"

    def test_right_the_version_it_has_read_is_gone(self, in_thread: Any) -> None:
        job = submit("stall", keys(2), pipeline="p")
        lease = worker.lease()
        gate = Gate('UPDATE "joblot_job"')
        stalled = in_thread(gate.through(lambda: fail(lease)))
        gate.wait()
        reconcile(job.pk)
        retry(job.pk)
        gate.open()
        stalled.result()
        assert (status(job), Job.objects.get().run) == ("PENDING", 2)
        assert numbers(worker.lease()) == [0, 1]


class TestAmendingWithoutTheSecondLook:
    """The finish reads the tallies and stalls; an amendment commits; it writes stale counts."""

    def set_up(self) -> tuple[Any, Any, Any]:
        job = submit("amend", keys(2), pipeline="p", policy={"expiries_max": 1})
        late, last = worker.lease(limit=1), worker.lease(limit=1)
        expire(late.token)
        expire(worker.lease(limit=1).token)
        return job, late, last

    def test_wrong_the_report_says_lost_for_ever(self, in_thread: Any) -> None:
        job, late, last = self.set_up()
        succeed(last)  # the finish, which recorded lost = 1
        gate = Gate("FROM joblot_job j")  # the amender's reconciliation, which never runs
        amender = in_thread(gate.through(lambda: succeed(late)))
        gate.wait()
        assert counts(job) == {"succeeded": 2}
        assert recorded()["lost"] == 1
        seen = read_snapshot(job.pk)
        assert seen is not None
        assert decide(seen) is not None  # reconciling again would amend it
        gate.open()
        amender.result()
        assert recorded()["lost"] == 0

    def test_right_the_second_sees_both(self, in_thread: Any) -> None:
        job, late, last = self.set_up()
        gate = Gate('UPDATE "joblot_job"')
        finisher = in_thread(gate.through(lambda: succeed(last)))
        gate.wait()
        assert succeed(late) == ["amended"]
        gate.open()
        finisher.result()
        assert (status(job), recorded()["lost"]) == ("SUCCESS", 0)
        assert kinds(job).count("finished") == 1


class TestCreditingAnotherLeaseInsideSettle:
    """A report that also updates the lease that now holds its item: two of them deadlock."""

    def test_wrong_two_reports_deadlock(self, in_thread: Any) -> None:
        submit("cross", keys(2), pipeline="p")
        first, second = worker.lease(limit=1), worker.lease(limit=1)
        touch = "UPDATE joblot_lease SET open = open WHERE token = %s"

        def crossing(own: Any, other: Any, gate: Gate) -> Callable[[], None]:
            def report() -> None:
                with transaction.atomic(using="postgres"):
                    run(touch, [own.token])
                    run(touch + " -- the other's", [other.token])

            return gate.through(report)

        gates = [Gate("the other's"), Gate("the other's")]
        a = in_thread(crossing(first, second, gates[0]))
        b = in_thread(crossing(second, first, gates[1]))
        for gate in gates:
            gate.wait()
        for gate in gates:
            gate.open()
        errors = [a.error(), b.error()]
        assert [is_deadlock(error) for error in errors].count(True) == 1
        assert all(error is None or isinstance(error, OperationalError) for error in errors)

    def test_right_a_report_touches_its_own_lease_only(self, in_thread: Any) -> None:
        on_result("p")(lambda results: None)
        job = submit("cross", keys(2), pipeline="p")
        early, other = worker.lease(limit=1), worker.lease(limit=1)
        expire(early.token)
        again = worker.lease(limit=1)  # holds item 0, which `early` will settle
        gates = [Gate(COMMIT), Gate(COMMIT)]
        a = in_thread(gates[0].through(lambda: succeed(early)))
        b = in_thread(gates[1].through(lambda: succeed(other)))
        for gate in gates:
            gate.wait()
            gate.open()
        assert (a.result(), b.result()) == (["counted"], ["counted"])
        assert succeed(again) == ["duplicate"]
        assert status(job) == "SUCCESS"


class TestStartingInsideTheClaim:
    """PENDING -> STARTED in the claim's transaction: it holds a range and wants the job's row,
    while a cancel holds the row and wants the ranges."""

    def test_wrong_a_claim_and_a_cancel_deadlock(self, in_thread: Any) -> None:
        submit("start", keys(2), pipeline="p")

        def claiming() -> None:
            with transaction.atomic(using="postgres"):
                run("SELECT 1 FROM joblot_range FOR UPDATE")
                run("UPDATE joblot_job SET version = version + 1")

        def canceling() -> None:
            with transaction.atomic(using="postgres"):
                run("UPDATE joblot_job SET version = version + 1")
                run("SELECT 1 FROM joblot_range FOR UPDATE")

        gates = [Gate("UPDATE joblot_job"), Gate("SELECT 1 FROM joblot_range")]
        a = in_thread(gates[0].through(claiming))
        b = in_thread(gates[1].through(canceling))
        for gate in gates:
            gate.wait()
        for gate in gates:
            gate.open()
        assert [is_deadlock(one.error()) for one in (a, b)].count(True) == 1

    def test_right_the_claim_has_let_go_of_its_range_before(self, in_thread: Any) -> None:
        job = submit("start", keys(2), pipeline="p")
        gate = Gate('UPDATE "joblot_job"')
        claimed = in_thread(gate.through(lambda: claim("p")))
        gate.wait()
        assert cancel(job.pk, grace_seconds=0).status == "REVOKED"
        gate.open()
        assert set(succeed(claimed.result().leases[0])) == {"late"}


class TestARetryableFailureThatStaysInItsLease:
    """The item waits in the queue and is held by its live lease: it is in two places at once."""

    def test_wrong_it_comes_back_twice(self, clock: Any) -> None:
        job = submit("twice", keys(1), pipeline="p")
        lease = worker.lease()
        fail(lease, retryable=True)
        # As if the lease had not recorded that it gave the item back.
        Lease.ledger.filter(pk=lease.token).update(state=LeaseState.LIVE, open=1, gone=[])
        expire(lease.token)
        clock.forward(60)
        assert [numbers(worker.lease(limit=1)), numbers(worker.lease(limit=1))] == [[0], [0]]
        cancel(job.pk, grace_seconds=0)

    def test_right_the_lease_remembers_that_it_gave_it_back(self, clock: Any) -> None:
        job = submit("twice", keys(1), pipeline="p")
        lease = worker.lease()
        assert fail(lease, retryable=True) == ["requeued"]
        assert fail(lease, retryable=True) == ["duplicate"]
        assert not expire(lease.token)
        clock.forward(60)
        succeed(worker.lease())
        assert nothing()
        assert status(job) == "SUCCESS"

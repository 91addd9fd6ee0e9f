"""Reports concurrent with each other, a cancel, an expiry, a renewal, a retry: each order."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, expire_overdue, renew
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, nothing, numbers, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting

THE_LEASE = "SELECT 1 FROM joblot_lease FOR UPDATE"

pytestmark = pytest.mark.usefixtures("postgres_only")


@pytest.fixture(autouse=True)
def judged() -> None:
    """With a hook, a report is a transaction of several statements and can be stopped inside."""
    on_result("p")(lambda results: None)


class TestTwoReportsOfOneItem:
    """Two reports of one item through two leases: one has expired, the other was granted later."""

    def leases(self) -> tuple[Any, Any, Any]:
        job = submit("meet", keys(1), pipeline="p")
        first = worker.lease()
        expire(first.token)
        return job, first, worker.lease()

    def test_the_second_waits_and_is_a_duplicate(self, in_thread: Any) -> None:
        job, first, second = self.leases()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(first, output=1)))
        gate.wait()
        b = in_thread(lambda: succeed(second, output=1))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted"], ["duplicate"])
        assert counts(job) == {"succeeded": 1}
        assert status(job) == "SUCCESS"

    def test_another_result_is_conflicting(self, in_thread: Any) -> None:
        job, first, second = self.leases()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(second, output=1)))
        gate.wait()
        b = in_thread(lambda: succeed(first, output=2))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted"], ["conflicting"])
        assert counts(job) == {"succeeded": 1}

    def test_a_failure_that_meets_a_success_is_superseded(self, in_thread: Any) -> None:
        job, first, second = self.leases()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(first)))
        gate.wait()
        b = in_thread(lambda: fail(second))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted"], ["superseded"])
        assert counts(job) == {"succeeded": 1}

    def test_a_success_that_meets_a_failure_amends_it(self, in_thread: Any) -> None:
        job, first, second = self.leases()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: fail(second)))
        gate.wait()
        b = in_thread(lambda: succeed(first))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted"], ["amended"])
        assert counts(job) == {"succeeded": 1}
        assert status(job) == "SUCCESS"

    def test_if_the_first_rolls_back_the_second_counts(self, in_thread: Any) -> None:
        job, first, second = self.leases()
        gate = Gate(COMMIT)

        def broken() -> None:
            on_result("p")(breaks_late)
            succeed(first)

        def breaks_late(results: Any) -> None:
            gate._stand()
            raise RuntimeError("the hook fails")

        a = in_thread(broken)
        gate.wait()
        on_result("p")(lambda results: None)
        b = in_thread(lambda: succeed(second))
        until_waiting()
        gate.open()
        a.result()
        assert b.result() == ["counted"]
        assert counts(job) == {"succeeded": 1}


def test_two_reports_of_one_lease_wait_for_each_other_and_both_count(in_thread: Any) -> None:
    job = submit("meet", keys(4), pipeline="p")
    lease = worker.lease()
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: succeed(lease, 0, 1)))
    gate.wait()
    b = in_thread(lambda: succeed(lease, 2, 3))
    until_waiting()
    gate.open()
    assert (a.result(), b.result()) == (["counted"] * 2, ["counted"] * 2)
    assert counts(job) == {"succeeded": 4}


def test_reports_of_different_leases_do_not_wait(in_thread: Any) -> None:
    job = submit("meet", keys(4), pipeline="p")
    first, second = worker.lease(limit=2), worker.lease(limit=2)
    gate = Gate("joblot_tally")  # everything but the tally slot is written and locked
    a = in_thread(gate.through(lambda: succeed(first)))
    gate.wait()
    assert succeed(second) == ["counted", "counted"]
    assert counts(job) == {"succeeded": 2}
    gate.open()
    a.result()
    assert status(job) == "SUCCESS"


class TestReportAndCancel:
    def test_a_report_in_flight_is_counted_and_the_cancel_waits_for_it(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(4), pipeline="p")
        lease = worker.lease(limit=2)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        b = in_thread(lambda: cancel(job.pk, grace_seconds=0).status)
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["counted", "counted"], "REVOKED")
        assert counts(job) == {"succeeded": 2}

    def test_a_report_that_waits_for_the_closing_is_late(
        self, in_thread: Any, connect: Any
    ) -> None:
        job = submit("meet", keys(4), pipeline="p")
        lease = worker.lease(limit=2)
        with holding(connect(), THE_LEASE):
            a = in_thread(lambda: cancel(job.pk, grace_seconds=0).status)
            until_waiting()
            b = in_thread(lambda: succeed(lease))
            until_waiting(2)
        assert (a.result(), b.result()) == ("REVOKED", ["late", "late"])
        assert counts(job) == {}

    def test_within_the_grace_it_counts(self) -> None:
        job = submit("meet", keys(4), pipeline="p")
        lease = worker.lease(limit=2)
        assert cancel(job.pk, grace_seconds=60).status == "CANCELING"
        assert succeed(lease) == ["counted", "counted"]
        sweep()
        assert status(job) == "REVOKED"
        assert counts(job) == {"succeeded": 2}


class TestReportAndExpiry:
    def test_the_sweep_passes_a_lease_that_is_being_reported(
        self, in_thread: Any, clock: Any
    ) -> None:
        job = submit("meet", keys(2), pipeline="p", policy={"lease_seconds": 10})
        lease = worker.lease()
        clock.forward(11)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        assert expire_overdue() == 0
        gate.open()
        assert a.result() == ["counted", "counted"]
        assert expire_overdue() == 0
        assert status(job) == "SUCCESS"

    def test_a_report_that_waits_for_the_expiry_still_counts(
        self, in_thread: Any, clock: Any
    ) -> None:
        job = submit("meet", keys(2), pipeline="p", policy={"lease_seconds": 10})
        lease = worker.lease()
        clock.forward(11)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(expire_overdue))
        gate.wait()
        b = in_thread(lambda: succeed(lease))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (1, ["counted", "counted"])
        assert status(job) == "SUCCESS"
        assert nothing()

    def test_a_failure_that_waits_for_the_expiry_does_not(self, in_thread: Any, clock: Any) -> None:
        job = submit("meet", keys(2), pipeline="p", policy={"lease_seconds": 10})
        lease = worker.lease()
        clock.forward(11)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(expire_overdue))
        gate.wait()
        b = in_thread(lambda: fail(lease))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (1, ["superseded", "superseded"])
        assert numbers(worker.lease()) == [0, 1]
        assert counts(job) == {}

    def test_two_sweeps_expire_a_lease_once(self, in_thread: Any, clock: Any) -> None:
        job = submit("meet", keys(2), pipeline="p", policy={"lease_seconds": 10})
        worker.lease()
        clock.forward(11)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(expire_overdue))
        gate.wait()
        assert expire_overdue() == 0
        gate.open()
        assert a.result() == 1
        assert numbers(worker.lease(job=job.pk)) == [0, 1]


def test_a_renewal_that_meets_its_own_report_succeeds(in_thread: Any) -> None:
    submit("meet", keys(2), pipeline="p")
    lease = worker.lease()
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: succeed(lease)))
    gate.wait()
    b = in_thread(lambda: renew(lease.token))
    until_waiting()
    gate.open()
    assert a.result() == ["counted", "counted"]
    assert b.result() > lease.expires_at


class TestReportAndRetry:
    """A late success of a failed item, concurrent with a retry of the job."""

    def failed(self) -> tuple[Any, Any]:
        job = submit("meet", keys(2), pipeline="p")
        late = worker.lease()
        expire(late.token)
        fail(worker.lease())
        assert status(job) == "FAILURE"
        return job, late

    def test_an_amendment_in_flight_counts_and_is_not_done_again(self, in_thread: Any) -> None:
        job, late = self.failed()
        gate = Gate(COMMIT, nth=2)  # the first call leaves it to be judged
        a = in_thread(gate.through(lambda: succeed(late, 0)))
        gate.wait()
        b = in_thread(lambda: retry(job.pk).run)
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["amended"], 2)
        assert numbers(worker.lease()) == [1]
        assert counts(job) == {"succeeded": 1}

    def test_one_that_waits_for_the_closing_is_late(self, in_thread: Any, connect: Any) -> None:
        job, late = self.failed()
        with holding(connect(), THE_LEASE):
            a = in_thread(lambda: retry(job.pk).run)
            until_waiting()
            b = in_thread(lambda: succeed(late, 0))
            until_waiting(2)
        assert (a.result(), b.result()) == (2, ["late"])
        assert numbers(worker.lease()) == [0, 1]
        assert kinds(job).count("finished") == 1

"""Locks: claims and reports never wait for each other, and statements that stall inside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.lease import expire, renew_many
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import LeaseState
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, numbers, status, succeed
from tests.polling import eventually
from tests.races.meeting import COMMIT, Gate, holding, until_waiting, waiting

pytestmark = pytest.mark.usefixtures("postgres_only")

THE_LEASE = "SELECT 1 FROM joblot_lease FOR UPDATE"


class TestClaimsAndReports:
    """Each completes while the other stands before its COMMIT with all its locks."""

    def test_a_claim_waits_for_no_report(self, in_thread: Any) -> None:
        on_result("p")(lambda results: None)  # so that the report can be stopped
        job = submit("locks", keys(8), pipeline="p")
        first = worker.lease(limit=4)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(first)))
        gate.wait()
        second = worker.lease(limit=4)
        assert (numbers(second), waiting()) == ([4, 5, 6, 7], 0)
        gate.open()
        assert a.result() == ["counted"] * 4
        succeed(second)
        assert status(job) == "SUCCESS"

    def test_a_report_waits_for_no_claim(self, in_thread: Any) -> None:
        job = submit("locks", keys(8), pipeline="p")
        first = worker.lease(limit=4)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: worker.lease(limit=4)))
        gate.wait()
        assert (succeed(first), waiting()) == (["counted"] * 4, 0)
        gate.open()
        succeed(a.result())
        assert status(job) == "SUCCESS"


class TestSeveralLeases:
    """Leases renewed together, by a worker that holds several."""

    def test_renewing_them_waits_for_no_report(self, in_thread: Any) -> None:
        on_result("p")(lambda results: None)  # so that the report can be stopped
        submit("locks", keys(8), pipeline="p")
        first, second = worker.lease(limit=4), worker.lease(limit=4)
        before = Lease.objects.get(pk=first.token).expires_at
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(first, 0)))
        gate.wait()
        held = renew_many([UUID(first.token), UUID(second.token)], 3_000)
        assert (held, waiting()) == (1, 0)
        gate.open()
        assert a.result() == ["counted"]
        assert Lease.objects.get(pk=first.token).expires_at == before


class TestStalledInsideTheOneStatement:
    """What the statement read before it waited for its lease is stale when it continues."""

    def test_two_reports_of_one_lease_both_count(self, in_thread: Any, connect: Any) -> None:
        job = submit("stalled", keys(4), pipeline="p")
        lease = worker.lease()
        with holding(connect(), THE_LEASE):
            a = in_thread(lambda: succeed(lease, 0, 1))
            b = in_thread(lambda: succeed(lease, 1, 2))
            until_waiting(2)
        assert sorted(a.result() + b.result()) == ["counted"] * 3 + ["duplicate"]
        kept = Lease.objects.get()
        assert (kept.open, kept.state) == (1, LeaseState.LIVE)
        assert succeed(lease, 3) == ["counted"]
        assert Lease.objects.get().state == LeaseState.SPENT
        assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 4})

    def test_a_failure_behind_the_expiry_of_its_lease(self, in_thread: Any, connect: Any) -> None:
        job = submit("stalled", keys(2), pipeline="p")
        lease = worker.lease()
        with holding(connect(), THE_LEASE):
            a = in_thread(lambda: expire(lease.token))
            until_waiting()
            b = in_thread(lambda: fail(lease))
            until_waiting(2)
        assert (a.result(), b.result()) == (True, ["superseded", "superseded"])
        assert counts(job) == {}
        assert numbers(worker.lease()) == [0, 1]

    def test_a_success_behind_the_closing_of_its_lease(self, in_thread: Any, connect: Any) -> None:
        job = submit("stalled", keys(2), pipeline="p")
        lease = worker.lease()
        with holding(connect(), THE_LEASE):
            a = in_thread(lambda: cancel(job.pk, grace_seconds=0).status)
            until_waiting()
            b = in_thread(lambda: succeed(lease))
            until_waiting(2)
        assert (a.result(), b.result()) == ("REVOKED", ["late", "late"])
        assert counts(job) == {}


class TestAnEdit:
    def test_is_not_lost_to_a_change_that_begins_after_it(self, in_thread: Any) -> None:
        job = submit("locks", keys(1), pipeline="p")
        gate = Gate('UPDATE "joblot_job"')
        first = in_thread(gate.through(lambda: edit(job.pk, policy={"failures_max": 7})))
        gate.wait()
        second = in_thread(pause, job.pk)
        eventually(lambda: waiting() == 1 or second.done)
        gate.open()
        assert first.result().policy["failures_max"] == 7
        assert second.result().status == "PAUSED"
        assert worker.kinds(job) == ["started", "edited", "paused"]

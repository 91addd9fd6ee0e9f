"""Requests through leases that a removal does not close: those whose items are all settled."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import LeaseEnded
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.job.removal import go_on
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.submit.submit import submit
from joblot.models import Event, ItemRange, Job, Lease, Outcome, Tally
from joblot.states import LeaseState
from tests.ledger import worker
from tests.ledger.worker import fail, keys, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting, waiting

TAKES_THE_JOB = "FOR NO KEY UPDATE"
READS_OUTCOMES = "SELECT asked.number, o.state"
MARKS = 'UPDATE "joblot_job"'
RECONCILES = "AS drained"
FOREVER = 1e9  # seconds


def ended() -> tuple[Job, Any]:
    """An ended job of four items, and the lease through which two of them have failed."""
    job = submit("removed", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    assert fail(lease) == ["counted", "counted"]
    succeed(worker.lease())
    assert status(job) == "COMPLETED_WITH_ERRORS"
    return job, lease


def state(lease: Any) -> LeaseState:
    return LeaseState(Lease.objects.get(pk=lease.token).state)


def recorded_successes() -> int:
    recorded: Any = Job.objects.get().recorded
    return int(recorded[0]["succeeded"])


def remove_rows(job: Job) -> None:
    delete(job.pk)
    go_on(FOREVER)
    assert not Outcome.objects.exists()


def nothing_was_counted() -> bool:
    counted = Outcome.objects.exists() or ItemRange.objects.exists()
    tallies = Tally.objects.values_list("succeeded", "failed")
    return not counted and all(one == (0, 0) for one in tallies)


class TestTheLeasesThatStayAsTheyAre:
    def test_are_those_whose_every_item_has_an_outcome(self, ledger_db: str) -> None:
        job = submit("removed", keys(4), pipeline="p", policy={"retry_backoff_seconds": 0})
        expired, returned = worker.lease(limit=1), worker.lease(limit=2)
        expire(expired.token)
        fail(returned, int(returned.items[0].id), retryable=True)
        succeed(returned, int(returned.items[1].id))
        rest = worker.lease()
        succeed(rest)
        worker.drain()
        assert status(job) == "SUCCESS"
        delete(job.pk)
        assert {state(one) for one in (expired, returned)} == {LeaseState.CLOSED}
        assert state(rest) == LeaseState.SPENT

    def test_are_not_waited_for(self, postgres_only: str, connect: Any) -> None:
        job, lease = ended()
        with holding(connect(), "SELECT 1 FROM joblot_lease FOR UPDATE"):
            delete(job.pk)
            assert waiting() == 0
        assert state(lease) == LeaseState.SPENT

    def test_are_of_no_further_use(self, ledger_db: str) -> None:
        job, lease = ended()
        delete(job.pk)
        with pytest.raises(LeaseEnded, match="has closed"):
            renew(lease.token)
        assert release(lease.token) == 0
        assert succeed(lease) == ["late", "late"]
        assert fail(lease) == ["duplicate", "duplicate"]

    @pytest.mark.parametrize("kind", ["success", "failure", "retryable failure"])
    def test_count_nothing_when_the_outcomes_are_gone(self, ledger_db: str, kind: str) -> None:
        job, lease = ended()
        remove_rows(job)
        if kind == "success":
            assert succeed(lease) == ["late", "late"]
        else:
            assert fail(lease, retryable=kind != "failure") == ["late", "late"]
        assert nothing_was_counted()


@pytest.mark.usefixtures("postgres_only")
class TestAReport:
    @pytest.mark.parametrize("kind", ["success", "failure", "retryable failure"])
    def test_that_has_read_the_job_before_the_mark_counts_nothing(
        self, in_thread: Any, kind: str
    ) -> None:
        job, lease = ended()
        gate = Gate(READS_OUTCOMES)
        if kind == "success":
            a = in_thread(gate.through(lambda: succeed(lease)))
        else:
            a = in_thread(gate.through(lambda: fail(lease, retryable=kind != "failure")))
        gate.wait()
        remove_rows(job)
        gate.open()
        assert a.result() == ["late", "late"]
        assert nothing_was_counted()


@pytest.mark.usefixtures("postgres_only")
class TestAnAmendment:
    def test_in_flight_is_waited_for_and_published(self, in_thread: Any) -> None:
        job, lease = ended()
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        b = in_thread(lambda: delete(job.pk))
        until_waiting()
        gate.open()
        assert (a.result(), b.result()) == (["amended", "amended"], None)
        assert recorded_successes() == 4
        assert [one.kind for one in Event.objects.order_by("pk")][-2:] == ["amended", "deleted"]

    def test_that_comes_after_the_mark_is_late(self, in_thread: Any) -> None:
        job, lease = ended()
        gate = Gate(TAKES_THE_JOB)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        delete(job.pk)
        gate.open()
        assert a.result() == ["late", "late"]
        assert recorded_successes() == 2

    def test_that_comes_after_the_rows_are_gone_is_late(self, in_thread: Any) -> None:
        job, lease = ended()
        gate = Gate(TAKES_THE_JOB)
        a = in_thread(gate.through(lambda: succeed(lease)))
        gate.wait()
        remove_rows(job)
        gate.open()
        assert a.result() == ["late", "late"]
        assert nothing_was_counted()

    def test_while_the_removal_has_read_the_counts_is_published(self, in_thread: Any) -> None:
        job, lease = ended()
        marks, reconciles = Gate(MARKS), Gate(RECONCILES)
        a = in_thread(marks.through(lambda: delete(job.pk)))
        marks.wait()
        b = in_thread(reconciles.through(lambda: succeed(lease)))
        reconciles.wait()  # the amendment is committed
        marks.open()
        assert a.result() is None
        assert recorded_successes() == 4
        reconciles.open()
        assert b.result() == ["amended", "amended"]


@pytest.mark.usefixtures("postgres_only")
def test_a_retry_that_begins_before_the_mark_keeps_the_job(in_thread: Any) -> None:
    job, lease = ended()
    gate = Gate(MARKS)
    a = in_thread(gate.through(lambda: delete(job.pk)))
    gate.wait()
    assert retry(job.pk).run == 2
    gate.open()
    assert "delete it again" in str(a.error())
    assert succeed(lease) == ["late", "late"]
    assert Job.objects.get().deleted_at is None

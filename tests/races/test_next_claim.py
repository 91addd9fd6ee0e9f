"""A report that claims the next lease, concurrent with other verbs: each order that matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from joblot import faults
from joblot.errors import Unavailable
from joblot.ledger.claim import queue
from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.lease import expire
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Lease
from joblot.states import LeaseState, NoLease
from joblot.wire import GrantedLease, NextClaim, Reported, success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, kinds, numbers, status, succeed
from tests.polling import eventually
from tests.races.meeting import COMMIT, Gate, until_waiting

pytestmark = pytest.mark.usefixtures("postgres_only")

NEXT = NextClaim(["p"], 4)
COMMITTING = "-- step: commit"  # the lease is written, and nothing is committed
LOCKED = "-- step: read the job"  # a range is locked


@pytest.fixture(autouse=True)
def known(configure: Any) -> None:
    """However slow the machine is, the candidates are known, so that each report is one call."""
    configure(candidates_seconds=600)


def done(lease: GrantedLease, claim_next: NextClaim = NEXT) -> Reported:
    return report(lease.token, [success(n) for n in numbers(lease)], claim_next=claim_next)


def receipts(answer: Reported) -> list[str]:
    return [one.receipt.value for one in answer.receipts]


def granted(answer: Reported) -> list[int]:
    assert answer.claim is not None
    return [item.id for lease in answer.claim.leases for item in lease.items]


class TestAndCancel:
    def test_a_cancel_waits_for_the_claim_and_closes_what_it_was_granted(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate, lease = Gate(COMMITTING), worker.lease(limit=2)
        reporting = in_thread(gate.through(lambda: done(lease)))
        gate.wait()
        canceling = in_thread(lambda: cancel(job.pk, grace_seconds=0))
        until_waiting()
        gate.open()
        canceling.result()
        answer = reporting.result()
        assert (receipts(answer), granted(answer)) == (["counted"] * 2, [2, 3, 4, 5])
        assert (status(job), counts(job)) == ("REVOKED", {"succeeded": 2})
        assert not Lease.objects.filter(state=LeaseState.LIVE).exists()

    def test_after_the_cancel_has_begun_it_counts_and_grants_nothing(self, in_thread: Any) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate, lease = Gate(LOCKED), worker.lease(limit=2)
        reporting = in_thread(gate.through(lambda: done(lease)))
        gate.wait()
        canceling = in_thread(lambda: cancel(job.pk, grace_seconds=0))
        until_waiting()
        gate.open()
        canceling.result()
        answer = reporting.result()
        assert (receipts(answer), granted(answer)) == (["counted"] * 2, [])
        assert status(job) == "REVOKED"


def test_after_a_pause_it_counts_and_grants_nothing(in_thread: Any) -> None:
    job = submit("meet", keys(20), pipeline="p")
    gate, lease = Gate(LOCKED), worker.lease(limit=2)
    reporting = in_thread(gate.through(lambda: done(lease)))
    gate.wait()
    pause(job.pk)
    gate.open()
    answer = reporting.result()
    assert (receipts(answer), granted(answer)) == (["counted"] * 2, [])
    assert answer.claim is not None
    assert answer.claim.reason == NoLease.PAUSED


def test_what_it_reports_through_an_expired_lease_it_is_not_granted_again(in_thread: Any) -> None:
    """The items have come back to the queue, and are settled by the report that claims."""
    job = submit("meet", keys(3), pipeline="p")
    gate, lease = Gate("-- step: lock the lease"), worker.lease()
    reporting = in_thread(gate.through(lambda: done(lease)))
    gate.wait()
    expire(lease.token)
    gate.open()
    answer = reporting.result()
    assert (receipts(answer), granted(answer)) == (["counted"] * 3, [])
    assert status(job) == "SUCCESS"
    assert not ItemRange.objects.exists()


def test_it_waits_for_no_range_while_its_report_is_not_committed(in_thread: Any) -> None:
    """Others who hold a range may wait for the lease or the slot that the report holds."""
    job = submit("meet", keys(20), pipeline="p")
    lease, gate = worker.lease(limit=2), Gate(COMMIT)
    claiming = in_thread(gate.through(lambda: worker.lease(limit=2)))
    gate.wait()
    queue.forget()  # so that it searches from the beginning, where the range is
    reporting = in_thread(lambda: done(lease))
    until_waiting()  # the claim, which is then made by itself
    eventually(lambda: counts(job) == {"succeeded": 2})
    gate.open()
    assert sorted(numbers(claiming.result()) + granted(reporting.result())) == list(range(2, 8))


def test_of_two_last_reports_one_finishes_the_job(in_thread: Any) -> None:
    """Asked before its commit, each would see the items of the other one open."""
    job = submit("last", keys(2), pipeline="p")
    first, gate = worker.lease(limit=1), Gate(COMMITTING)
    submit("another", keys(600), pipeline="other")
    for _ in range(2):  # the first starts the job, at which the candidates are read again
        claim("other", 1)
    stopped = in_thread(gate.through(lambda: done(first, NextClaim(["other"]))))
    gate.wait()
    assert in_thread(lambda: succeed(worker.lease())).result() == ["counted"]
    assert status(job) == "STARTED"
    gate.open()
    assert receipts(stopped.result()) == ["counted"]
    assert (status(job), kinds(job).count("finished")) == ("SUCCESS", 1)


class TestALostAnswer:
    def test_is_given_again_also_while_the_first_call_is_under_way(self, in_thread: Any) -> None:
        submit("meet", keys(20), pipeline="p")
        lease, gate = worker.lease(limit=2), Gate(COMMITTING)
        keyed = replace(NEXT, idempotency_key="once")
        first = in_thread(gate.through(lambda: done(lease, keyed)))
        gate.wait()
        again = in_thread(lambda: done(lease, keyed))
        until_waiting()
        gate.open()
        assert receipts(first.result()) == ["counted"] * 2
        assert receipts(again.result()) == ["duplicate"] * 2
        assert first.result().claim == again.result().claim
        assert Lease.objects.count() == 2

    def test_of_a_report_that_fails_strands_no_lease(self) -> None:
        """Its caller does not learn of the lease, so it is released."""
        submit("meet", keys(20), pipeline="p")
        lease = worker.lease(limit=2)
        with faults.armed("report: committed, not looked", _away), pytest.raises(Unavailable):
            done(lease)
        assert not Lease.objects.filter(state=LeaseState.LIVE).exists()
        assert numbers(worker.lease(limit=16)) == [2, 3, 4, 5]


def _away() -> None:
    raise Unavailable("the database does not answer")

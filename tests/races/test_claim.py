"""Claims concurrent with each other, a cancel, a pause, a merge: each order."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.lease import release
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Lease
from tests.ledger import worker
from tests.ledger.worker import keys, nothing, numbers, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting

pytestmark = pytest.mark.usefixtures("postgres_only")

LOCKED = "-- step: read the job"  # the claim has locked its ranges, and read nothing else
COUNTING = "-- step: count the owner's items in flight"  # it has locked a range
JOB_LOCKS = """
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_type = 'client backend' -- no autovacuum
WHERE c.relname = 'joblot_job' AND l.mode NOT IN ('AccessShareLock')
"""


def test_two_claims_take_different_ranges_without_waiting(in_thread: Any) -> None:
    submit("meet", keys(100), pipeline="p")  # two ranges
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: worker.lease(limit=10)))
    gate.wait()
    b = worker.lease(limit=10)
    gate.open()
    assert not set(numbers(a.result())) & set(numbers(b))


def test_a_claim_waits_for_the_only_range_rather_than_say_there_is_none(
    in_thread: Any, configure: Any
) -> None:
    configure(range_wait_seconds=30)
    submit("meet", keys(20), pipeline="p")
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: worker.lease(limit=5)))
    gate.wait()
    b = in_thread(lambda: worker.lease(limit=5))
    until_waiting()
    gate.open()
    assert sorted(numbers(a.result()) + numbers(b.result())) == list(range(10))


def test_no_two_claims_take_the_same_small_range(in_thread: Any, configure: Any) -> None:
    configure(range_wait_seconds=0.1)
    submit("meet", keys(6), pipeline="p")
    for lease in [worker.lease(limit=2) for _ in range(3)]:
        release(lease.token)
    gate = Gate(LOCKED)
    a = in_thread(gate.through(lambda: worker.lease(limit=6)))
    gate.wait()
    assert not claim("p").leases
    gate.open()
    assert sorted(numbers(a.result())) == list(range(6))


def test_a_claim_that_waits_too_long_says_there_is_none(
    in_thread: Any, configure: Any, connect: Any
) -> None:
    configure(range_wait_seconds=0.1)
    submit("meet", keys(20), pipeline="p")
    with holding(connect(), "SELECT 1 FROM joblot_range FOR UPDATE"):
        assert not claim("p").leases
    assert numbers(worker.lease(limit=5)) == list(range(5))


def test_a_claim_waits_for_no_range_while_another_job_has_a_free_one(
    in_thread: Any, configure: Any
) -> None:
    configure(range_wait_seconds=30)
    first = submit("first", keys(20), pipeline="p")
    second = submit("second", keys(20), pipeline="p")
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: worker.lease(limit=5)))
    gate.wait()
    assert worker.lease(limit=5).job == second.pk
    gate.open()
    assert a.result().job == first.pk


def test_a_claim_whose_range_was_used_up_while_it_waited_finds_the_next_one(
    in_thread: Any, configure: Any, connect: Any
) -> None:
    """The range it waits for is gone when the lock is released; others were locked too."""
    configure(range_wait_seconds=30)
    submit("meet", keys(100), pipeline="p")  # two ranges
    first = "SELECT id FROM joblot_range ORDER BY id LIMIT 1"
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: worker.lease(limit=64)))
    gate.wait()
    with holding(connect(), f"SELECT 1 FROM joblot_range WHERE id <> ({first}) FOR UPDATE"):
        b = in_thread(lambda: worker.lease(limit=10))
        until_waiting()
        gate.open()
        assert numbers(a.result()) == list(range(64))
        until_waiting()  # now for the second one
    assert numbers(b.result()) == list(range(64, 74))


class TestClaimAndCaps:
    def test_a_claim_that_was_granted_meanwhile_counts(self, in_thread: Any) -> None:
        """It is counted behind the lock, not when the claim began."""
        submit("capped", keys(200), pipeline="p", policy={"in_flight_items_max": 5})
        gate = Gate(LOCKED)
        a = in_thread(gate.through(lambda: claim("p", owner=1, owner_items_max=50)))
        gate.wait()
        assert len(worker.lease().items) == 5
        gate.open()
        assert a.result().reason == "at_limit"

    def test_an_owners_lease_that_was_granted_meanwhile_counts(self, in_thread: Any) -> None:
        submit("many", keys(200), pipeline="p")
        capped: dict[str, Any] = {"owner": 7, "owner_items_max": 5}
        gate = Gate(COUNTING)
        a = in_thread(gate.through(lambda: claim("p", **capped)))
        gate.wait()
        assert len(worker.lease(**capped).items) == 5
        gate.open()
        assert a.result().reason == "at_limit"


class TestClaimAndCancel:
    def test_a_claim_that_has_its_range_grants_nothing_after_the_cancel(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate = Gate(LOCKED)
        a = in_thread(gate.through(lambda: claim("p")))
        gate.wait()
        b = in_thread(lambda: cancel(job.pk, grace_seconds=0).status)
        until_waiting()  # the cancel has changed the status and waits for the range
        gate.open()
        assert not a.result().leases
        assert b.result() == "REVOKED"
        assert not Lease.objects.exists()

    def test_the_cancel_waits_for_a_claim_that_was_granted_and_closes_its_lease(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate = Gate(COMMIT)
        a = in_thread(gate.through(worker.lease))
        gate.wait()
        b = in_thread(lambda: cancel(job.pk, grace_seconds=0).status)
        until_waiting()
        gate.open()
        assert b.result() == "REVOKED"
        assert set(succeed(a.result())) == {"late"}

    def test_nothing_is_granted_while_the_cancel_has_yet_to_delete_the_ranges(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate = Gate("DELETE FROM joblot_range")
        a = in_thread(gate.through(lambda: cancel(job.pk, grace_seconds=0).status))
        gate.wait()
        assert nothing()
        gate.open()
        assert a.result() == "REVOKED"

    def test_after_a_cancel_nothing_is_granted(self) -> None:
        job = submit("meet", keys(20), pipeline="p")
        worker.lease(limit=5)
        cancel(job.pk, grace_seconds=60)
        assert nothing()

    def test_claims_lock_nothing_that_a_cancel_needs_before_it_has_changed_the_status(
        self, in_thread: Any
    ) -> None:
        """The cancel's change of status waits for none of 32 concurrent claims."""
        job = submit("meet", keys(64 * 32), pipeline="p")
        gates = [Gate(LOCKED) for _ in range(32)]
        claims = [in_thread(gate.through(lambda: claim("p"))) for gate in gates]
        for gate in gates:
            gate.wait()
        with connections["postgres"].cursor() as cursor:
            cursor.execute(JOB_LOCKS)
            assert cursor.fetchone() == (0,)
        paused = in_thread(lambda: pause(job.pk).status)  # the same compare-and-set
        assert paused.result() == "PAUSED"
        for gate in gates:
            gate.open()
        assert not any(claimed.result().leases for claimed in claims)
        assert cancel(job.pk).status == "REVOKED"


class TestClaimAndPause:
    def test_a_claim_that_has_its_range_grants_nothing_after_the_pause(
        self, in_thread: Any
    ) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate = Gate(LOCKED)
        a = in_thread(gate.through(lambda: claim("p")))
        gate.wait()
        pause(job.pk)
        gate.open()
        assert not a.result().leases
        resume(job.pk)
        assert numbers(worker.lease(limit=5)) == list(range(5))

    def test_a_claim_that_was_granted_before_the_pause_counts(self, in_thread: Any) -> None:
        job = submit("meet", keys(20), pipeline="p")
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: worker.lease(limit=20)))
        gate.wait()
        pause(job.pk)
        gate.open()
        assert set(succeed(a.result())) == {"counted"}
        assert status(job) == "SUCCESS"


class TestClaimAndMerge:
    def crowd(self, configure: Any) -> Any:
        configure(merge_ranges_min=2)
        job = submit("meet", keys(16), pipeline="p")
        for _ in range(8):
            worker.lease(limit=2)
        for lease in Lease.objects.all():
            release(lease.token)
        assert ItemRange.objects.count() == 8
        return job

    def test_a_merge_leaves_alone_what_a_claim_holds(self, in_thread: Any, configure: Any) -> None:
        self.crowd(configure)
        gate = Gate(LOCKED)
        a = in_thread(gate.through(lambda: worker.lease(limit=2)))
        gate.wait()
        merge_ranges()
        gate.open()
        a.result()
        assert ItemRange.objects.count() < 7

    def test_a_claim_waits_for_a_merge_and_takes_what_it_made(
        self, in_thread: Any, configure: Any
    ) -> None:
        self.crowd(configure)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(merge_ranges))
        gate.wait()
        b = in_thread(lambda: claim("p", 16))
        until_waiting()
        gate.open()
        a.result()
        taken = b.result()
        assert len(numbers(taken.leases[0]) if taken.leases else numbers(worker.lease())) == 16


def test_two_claims_with_one_idempotency_key_get_one_lease(in_thread: Any) -> None:
    submit("meet", keys(200), pipeline="p")
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: worker.lease(idempotency_key="once")))
    gate.wait()
    b = in_thread(lambda: worker.lease(idempotency_key="once"))
    until_waiting()
    gate.open()
    assert a.result().token == b.result().token
    assert Lease.objects.count() == 1

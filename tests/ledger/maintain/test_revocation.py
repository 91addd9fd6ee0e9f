"""Revoking a worker: its items go back at once, and nothing of it counts until it is restored."""

from __future__ import annotations

import pytest

from joblot.errors import NotFound, WorkerRevoked
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import expire, renew, renew_many
from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.why import why
from joblot.ledger.read.workers import workers
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Lease, WorkerInstance
from joblot.states import LeaseState
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import counts, keys, numbers, succeed

REVOKED = "worker gpu-1 was revoked at .*: stop, and ask the operator"


def test_its_items_go_back_at_once_and_at_no_cost(ledger_db: str, caches_kept: None) -> None:
    submit("revoked", keys(5), pipeline="p", policy={"expiries_max": 1})
    worker.lease(limit=2, worker="gpu-1")
    worker.lease(limit=1, worker="gpu-1")
    other = worker.lease(limit=1, worker="gpu-2")
    assert revoke_worker(0, "gpu-1") == 3
    again = worker.lease(limit=4, worker="gpu-2")
    assert sorted(numbers(again)) == [0, 1, 2]
    assert {item.attempt for item in again.items} == {1}
    assert succeed(other) == ["counted"]


@pytest.mark.parametrize("owner", [None, 7])
def test_its_next_claim_is_refused_whether_or_not_there_is_work(
    ledger_db: str, owner: int | None
) -> None:
    claim("p", worker="gpu-1", owner=owner)
    revoke_worker(owner or 0, "gpu-1")
    with pytest.raises(WorkerRevoked, match=REVOKED):
        claim("p", worker="gpu-1", owner=owner)
    submit("revoked", keys(1), pipeline="p")
    with pytest.raises(WorkerRevoked, match=REVOKED):
        claim("p", worker="gpu-1", owner=owner)
    worker.lease(worker="gpu-1", owner=8)  # another token's worker of this name
    assert Lease.objects.filter(worker="gpu-1").exclude(owner=8).count() == 0


def test_its_next_report_is_refused_and_counts_nothing(ledger_db: str) -> None:
    job = submit("revoked", keys(3), pipeline="p")
    lease = worker.lease(worker="gpu-1")
    assert succeed(lease, 0) == ["counted"]
    revoke_worker(0, "gpu-1")
    for result in (success(1), failure(1, "Bad"), failure(1, "Bad", retryable=True)):
        with pytest.raises(WorkerRevoked, match=REVOKED):
            report(lease.token, [result])
    assert counts(job) == {"succeeded": 1}


def test_its_next_renewal_is_refused(ledger_db: str) -> None:
    submit("revoked", keys(1), pipeline="p")
    lease = worker.lease(worker="gpu-1")
    revoke_worker(0, "gpu-1")
    with pytest.raises(WorkerRevoked, match=REVOKED):
        renew(lease.token)


def test_a_lease_that_was_granted_meanwhile_is_of_no_use_and_released_by_the_sweep(
    ledger_db: str,
) -> None:
    """The mark is set, and the lease is not released yet, as if its claim had committed later."""
    job = submit("revoked", keys(2), pipeline="p")
    lease = worker.lease(worker="gpu-1")
    WorkerInstance.ledger.update(revoked_at=lease.expires_at)
    for act in (lambda: renew(lease.token), lambda: report(lease.token, [success(0)])):
        with pytest.raises(WorkerRevoked):
            act()
    assert renew_many([Lease.objects.get().pk], 600_000) == 0
    sweep()
    assert Lease.objects.get().state == LeaseState.EXPIRED
    assert counts(job) == {}
    assert len(worker.lease(worker="gpu-2").items) == 2


def test_a_restored_worker_goes_on(ledger_db: str) -> None:
    job = submit("revoked", keys(2), pipeline="p")
    lease = worker.lease(limit=1, worker="gpu-1")
    revoke_worker(0, "gpu-1")
    restore_worker(0, "gpu-1")
    assert succeed(lease) == ["counted"]
    succeed(worker.lease(worker="gpu-1"))
    assert counts(job) == {"succeeded": 2}


def test_results_from_before_stay(ledger_db: str) -> None:
    job = submit("revoked", keys(2), pipeline="p")
    lease = worker.lease(worker="gpu-1")
    succeed(lease, 0)
    expire(lease.token)
    assert revoke_worker(0, "gpu-1") == 0
    assert counts(job) == {"succeeded": 1}


def test_it_is_listed_as_revoked_and_serves_no_pipeline(ledger_db: str, clock: Clock) -> None:
    claim("p", worker="gpu-1")
    revoke_worker(0, "gpu-1", actor="ana", reason="too\nhot")
    (one,) = workers()
    assert one["revoked_at"] == "2030-01-01T00:00:00+00:00"
    assert (one["revoked_by"], one["revoked_reason"]) == ("ana", "too hot")
    job = submit("revoked", keys(1), pipeline="q")
    assert why(job.pk)["reasons"][0]["text"].endswith("no worker is online")


def test_a_worker_that_was_never_seen(ledger_db: str) -> None:
    for verb in (revoke_worker, restore_worker):
        with pytest.raises(NotFound, match="worker 'gpu-9' of owner 0 was never seen"):
            verb(0, "gpu-9")

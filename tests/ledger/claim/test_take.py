"""A lease that a dispatcher was granted becomes the first worker's that takes it."""

from __future__ import annotations

from uuid import UUID

import pytest

from joblot.errors import AtLimit, InvalidInput, LeaseEnded, NotFound, WorkerRevoked
from joblot.ledger.claim.take import all_offered, offered, still_offered, take, withdraw
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, renew
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.read.progress import progress
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease
from joblot.wire import GrantedLease
from tests.ledger import worker
from tests.ledger.worker import keys, succeed

DISPATCHER = "dispatch-1"


@pytest.fixture
def job(ledger_db: str) -> Job:
    return submit("dispatched", keys(4), pipeline="p", policy={"lease_seconds": 60})


@pytest.fixture
def grant(job: Job) -> GrantedLease:
    """It is published, and nobody has taken it."""
    return worker.lease(limit=2, worker=DISPATCHER)


def test_the_first_worker_has_it(grant: GrantedLease) -> None:
    assert take(grant.token, DISPATCHER, worker="w", owner=7) >= grant.expires_at
    lease = Lease.objects.get(pk=grant.token)
    assert (lease.worker, lease.owner) == ("w", 7)
    with pytest.raises(LeaseEnded, match="taken by another worker"):
        take(grant.token, DISPATCHER, worker="other", owner=7)
    with pytest.raises(LeaseEnded):
        take(grant.token, DISPATCHER, worker="w", owner=8)
    assert succeed(grant) == ["counted"] * 2


def test_an_owner_at_its_cap_takes_nothing_and_others_may(job: Job, grant: GrantedLease) -> None:
    second = worker.lease(limit=2, worker=DISPATCHER)
    take(grant.token, DISPATCHER, worker="w", owner=7, owner_items_max=1)
    with pytest.raises(AtLimit, match="fewer than 1 items"):
        take(second.token, DISPATCHER, worker="w2", owner=7, owner_items_max=1)
    take(grant.token, DISPATCHER, worker="w", owner=7, owner_items_max=1)  # its own, again
    assert list(still_offered([UUID(second.token)], DISPATCHER).values()) == [True]
    succeed(grant)
    take(second.token, DISPATCHER, worker="w2", owner=7, owner_items_max=1)


def test_to_take_it_again_renews_it(grant: GrantedLease) -> None:
    first = take(grant.token, DISPATCHER, worker="w")
    assert take(grant.token, DISPATCHER, worker="w") >= first
    expire(grant.token)
    with pytest.raises(LeaseEnded):
        take(grant.token, DISPATCHER, worker="w")


def test_one_whose_items_are_all_settled_is_not_taken_again(grant: GrantedLease) -> None:
    """A broker brought it again, to the worker that had it: nothing is left to do."""
    take(grant.token, DISPATCHER, worker="w")
    succeed(grant)
    with pytest.raises(LeaseEnded, match="is done"):
        take(grant.token, DISPATCHER, worker="w")


def test_another_dispatchers_is_not_taken(grant: GrantedLease) -> None:
    with pytest.raises(LeaseEnded):
        take(grant.token, "dispatch-2", worker="w")
    assert still_offered([UUID(grant.token)], DISPATCHER) == {UUID(grant.token): True}


def test_it_is_refused_while_its_job_is_paused(job: Job, grant: GrantedLease) -> None:
    pause(job.pk)
    with pytest.raises(LeaseEnded):
        take(grant.token, DISPATCHER, worker="w")
    assert still_offered([UUID(grant.token)], DISPATCHER) == {UUID(grant.token): False}
    resume(job.pk)
    take(grant.token, DISPATCHER, worker="w")


@pytest.mark.parametrize("grace_seconds", [0, 60])
def test_it_is_refused_once_a_cancel_has_begun(
    job: Job, grant: GrantedLease, grace_seconds: int
) -> None:
    cancel(job.pk, grace_seconds=grace_seconds)
    with pytest.raises(LeaseEnded):
        take(grant.token, DISPATCHER, worker="w")
    withdraw(grant.token, DISPATCHER)


def test_one_of_an_earlier_run_is_refused(job: Job, grant: GrantedLease) -> None:
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    with pytest.raises(LeaseEnded):
        take(grant.token, DISPATCHER, worker="w")


def test_what_nobody_has_taken_is_given_back_and_nothing_else(job: Job) -> None:
    mine, taken = (worker.lease(limit=2, worker=DISPATCHER).token for _ in range(2))
    take(taken, DISPATCHER, worker="w")
    assert all_offered(DISPATCHER) == [UUID(mine)]
    assert set(still_offered([UUID(mine), UUID(taken)], DISPATCHER)) == {UUID(mine)}
    assert withdraw(taken, DISPATCHER) == 0
    renew(taken)
    assert withdraw(mine, DISPATCHER) == 2
    with pytest.raises(LeaseEnded):
        take(mine, DISPATCHER, worker="w")
    (stage,) = progress(job.pk)["stages"]
    assert (stage["ready"], stage["in_flight"]) == (2, 2)


def test_who_may_not_take_it(grant: GrantedLease) -> None:
    with pytest.raises(InvalidInput, match="Joblot-Worker"):
        take(grant.token, DISPATCHER, worker="")
    with pytest.raises(NotFound):
        take("no token", DISPATCHER, worker="w")
    workers.seen(7, "w")
    revoke_worker(7, "w", actor="op")
    with pytest.raises(WorkerRevoked):
        take(grant.token, DISPATCHER, worker="w", owner=7)
    take(grant.token, DISPATCHER, worker="w", owner=8)


def test_what_it_is_for(job: Job, grant: GrantedLease) -> None:
    found = offered(grant.token)
    assert (found.job_id, found.pipeline) == (job.pk, "p")

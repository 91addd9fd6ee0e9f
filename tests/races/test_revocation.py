"""Revoking a worker in each order with its claims, reports and renewals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import LeaseEnded, WorkerRevoked
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import renew
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease
from joblot.states import LeaseState
from joblot.testing.interleave import explore
from joblot.wire import GrantedLease
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import counts, keys, succeed

GPU = "gpu-1"


class Scene:
    """A job of two items; the worker holds the first."""

    def __init__(self, db: str) -> None:
        self.db = db
        self.job: Job
        self.lease: GrantedLease

    def set_up(self) -> None:
        databases.empty(self.db)
        self.job = submit("revoked", keys(2), pipeline="p")
        self.lease = worker.lease(limit=1, worker=GPU)

    def explore(self, act: Callable[[], object], check: Callable[[Any], None]) -> None:
        def checked(outcomes: Any) -> None:
            assert outcomes["revoke"].error is None
            check(outcomes["act"])
            sweep()  # also what was granted meanwhile
            assert not Lease.objects.filter(worker=GPU, state=LeaseState.LIVE)
            with pytest.raises(WorkerRevoked):
                succeed(self.lease)
            with pytest.raises(WorkerRevoked):
                claim("p", worker=GPU)
            worker.drain("p")
            assert counts(self.job) == {"succeeded": 2}
            assert audit(self.job.pk)["ok"]

        explore(
            {"act": act, "revoke": lambda: revoke_worker(0, GPU)},
            setup=self.set_up,
            check=checked,
            using=self.db,
            preemptions=2,
            schedules_max=40,
            samples=0,
            allowed=(WorkerRevoked, LeaseEnded),
            reduced=True,
        )


@pytest.fixture
def scene(ledger_db: str) -> Scene:
    return Scene(ledger_db)


def test_revoke_and_report(scene: Scene) -> None:
    """The report counts or is refused; what it did not settle goes back, exactly once."""

    def check(report: Any) -> None:
        if report.error is None:
            assert report.value == ["counted"]
            assert counts(scene.job) == {"succeeded": 1}
        else:
            assert isinstance(report.error, WorkerRevoked)
            assert counts(scene.job) == {}

    scene.explore(lambda: succeed(scene.lease), check)


def test_revoke_and_claim(scene: Scene) -> None:
    """The claim is refused, or granted a lease that is of no use and that the sweep takes back."""

    def check(asked: Any) -> None:
        leases = Lease.objects.filter(worker=GPU).count()
        assert leases == (1 if isinstance(asked.error, WorkerRevoked) else 2)
        if asked.error is None:
            with pytest.raises(WorkerRevoked):
                succeed(asked.value.leases[0])

    scene.explore(lambda: claim("p", worker=GPU), check)


def test_revoke_and_renew(scene: Scene) -> None:
    def check(renewal: Any) -> None:
        assert renewal.error is None or isinstance(renewal.error, WorkerRevoked | LeaseEnded)

    scene.explore(lambda: renew(scene.lease.token), check)

"""The sweep: work that is due, and work that a dead process left undone."""

from __future__ import annotations

import threading
import time
from typing import Any

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.maintain.sweep import Swept, sweep, sweep_until
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed


def test_a_sweep_of_nothing_does_nothing(ledger_db: str) -> None:
    assert sweep() == Swept(0, 0, 0)


def test_a_sweep_changes_nothing_of_a_job_that_is_being_worked(ledger_db: str) -> None:
    submit("calm", keys(4), pipeline="p")
    succeed(worker.lease(limit=2), 0)
    sweep()
    version = Job.objects.get().version
    assert sweep() == Swept(0, 0, 0)
    assert Job.objects.get().version == version


def test_the_sweep_goes_on_with_a_cancel_whose_process_died(ledger_db: str, clock: Any) -> None:
    """The status was changed, but claims were not drained yet and no deadline was set."""
    job = submit("cancel", keys(4), pipeline="p", policy={"cancel_grace_seconds": 5})
    lease = worker.lease(limit=2)
    cancel(job.pk)
    Job.ledger.filter(pk=job.pk).update(
        cancel_closes_at=None, version=Job.objects.get().version + 1
    )
    sweep()
    assert status(job) == "CANCELING"
    clock.forward(5)
    sweep()
    assert status(job) == "REVOKED"
    assert succeed(lease) == ["late", "late"]


def test_the_sweeper_runs_until_it_is_stopped(
    ledger_db: str, in_thread: Any, configure: Any
) -> None:
    configure(sweep_seconds=0.01)
    job = submit("swept", keys(1), pipeline="p", policy={"lease_seconds": 0.01, "expiries_max": 1})
    stop = threading.Event()
    running = in_thread(sweep_until, stop)
    deadline = time.monotonic() + 20
    while status(job) != "FAILURE" and time.monotonic() < deadline:
        worker.nothing()
    stop.set()
    running.result()
    assert counts(job) == {"lost": 1}

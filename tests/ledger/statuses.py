"""Jobs in each status, and processes that die on the way there."""

from __future__ import annotations

from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.worker import fail, keys, status, succeed


class Cut(Exception):
    """The process dies here."""


def die() -> None:
    raise Cut


def job_in(wanted: JobStatus) -> Job:
    """A job of two items in this status."""
    job = submit("one", keys(2), pipeline="p", start=wanted != "CREATED")
    if wanted in ("CREATED", "PENDING"):
        return job
    lease = worker.lease(limit=1)
    if wanted == "PAUSED":
        pause(job.pk)
    if wanted in ("CANCELING", "REVOKED"):
        cancel(job.pk, grace_seconds=100 if wanted == "CANCELING" else 0)
    if wanted in ("SUCCESS", "COMPLETED_WITH_ERRORS"):
        succeed(lease)
        (succeed if wanted == "SUCCESS" else fail)(worker.lease())
    if wanted == "FAILURE":
        fail(lease)
        fail(worker.lease())
    assert status(job) == wanted
    return job

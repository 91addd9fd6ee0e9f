"""What people may do to a job is what its verbs do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import WrongStatus
from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.ledger.read.acts import Act, acts
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import seal, submit
from joblot.models import Job
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.worker import drain, keys

VERBS: dict[Act, Callable[[int], Any]] = {
    Act.START: lifecycle.start,
    Act.PAUSE: lifecycle.pause,
    Act.RESUME: lifecycle.resume,
    Act.SEAL: seal,
    Act.CANCEL: lifecycle.cancel,
    Act.RETRY: retry,
}


def made(status: JobStatus) -> Job:
    """A job of two items in this status."""
    start = status is not JobStatus.CREATED
    job = submit("n", keys(2), pipeline="p", start=start, policy={"cancel_grace_seconds": 60})
    if status is JobStatus.PAUSED:
        lifecycle.pause(job.pk)
    if status in (JobStatus.STARTED, JobStatus.CANCELING):
        worker.lease(limit=1)
    if status in (JobStatus.CANCELING, JobStatus.REVOKED):
        lifecycle.cancel(job.pk)
    if status is JobStatus.SUCCESS:
        drain("p")
    if status in (JobStatus.COMPLETED_WITH_ERRORS, JobStatus.FAILURE):
        worker.fail(worker.lease(limit=1))
    if status is JobStatus.COMPLETED_WITH_ERRORS:
        drain("p")
    if status is JobStatus.FAILURE:
        worker.fail(worker.lease())
    assert progress(job.pk)["status"] == status
    return job


@pytest.mark.parametrize("act", VERBS)
@pytest.mark.parametrize("status", JobStatus)
def test_what_is_allowed_changes_the_job_and_what_is_not_does_not(
    ledger_db: str, status: JobStatus, act: Act
) -> None:
    job = made(status)
    refusal = acts(progress(job.pk))[act]
    before = progress(job.pk)["status"], len(events(job.pk))
    try:
        VERBS[act](job.pk)
    except WrongStatus:
        assert refusal
    after = progress(job.pk)["status"], len(events(job.pk))
    assert (after == before) is bool(refusal)


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_can_be_sealed_once_while_it_takes_items(ledger_db: str, status: JobStatus) -> None:
    """In `made` all jobs are sealed."""
    job = {"status": status.value, "sealed": False}
    takes_items = status in ("CREATED", "PENDING", "STARTED", "PAUSED")
    assert (acts(job)["seal"] == "") is takes_items
    assert acts(job | {"sealed": True})["seal"] == "The job is sealed already."


@pytest.mark.parametrize(
    ("status", "act", "refusal"),
    [
        ("PAUSED", "pause", "The job is paused; only one that is running can be paused."),
        (
            "SUCCESS",
            "retry",
            "The job has succeeded; only one that ended with items left can be retried.",
        ),
        ("REVOKED", "cancel", "The job was canceled; only one that has not ended can be canceled."),
        ("REVOKED", "delete", ""),
        ("REVOKED", "edit", ""),
    ],
)
def test_the_reason_is_a_sentence(status: str, act: str, refusal: str) -> None:
    assert acts({"status": status, "sealed": True})[act] == refusal

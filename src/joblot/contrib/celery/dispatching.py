"""Tasks that add items to a job. How such a task ends does not affect the status of the job."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.result import AsyncResult
from django.db import transaction

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.job import read_job
from joblot.ledger.rows.log import log
from joblot.states import FILLABLE

logger = logging.getLogger("joblot.celery")

JOB, RUN = "joblot_job", "joblot_run"  # headers


class Dispatcher(Task):  # type: ignore[misc]  # Celery has no types
    """A task that adds items to a job: `@shared_task(base=Dispatcher)`, sent with `dispatch`.

    It is called with the job's id, and only if the job still takes items and is in the run for
    which the message was sent: else it does nothing. No start, end, failure or revocation of the
    task writes a status. A failure is written to the job's log; items that were added are worked
    on, and the task may run again, since items with known keys are skipped.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        headers = self.request.headers or {}
        if JOB not in headers:
            return self.run(*args, **kwargs)
        job_id, run = headers[JOB], headers[RUN]
        if (why := _unwanted(job_id, run)) is not None:
            logger.info("%s does nothing: %s", self.name, why, extra={"job": job_id})
            return None
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            log(job_id, f"{self.name} failed: {error!r}", level="error", source="celery")
            raise


def dispatch(task: Task, job_id: int, *args: Any, **options: Any) -> AsyncResult | None:
    """Send a Dispatcher task for the job's current run; it is called as `task(job_id, *args)`.

    Inside a transaction it is sent after the commit, and None is returned. `options` are those of
    `apply_async`. Raises InvalidInput for another kind of task, NotFound.
    """
    if not isinstance(task, Dispatcher):
        raise InvalidInput(f"task: expected one declared with base=Dispatcher, got {task!r}")
    headers = {**options.pop("headers", {}), JOB: job_id, RUN: read_job(job_id).run}
    sent: list[AsyncResult] = []

    def send() -> None:
        sent.append(task.apply_async((job_id, *args), headers=headers, **options))

    transaction.on_commit(send, using=alias())
    return sent[0] if sent else None


def _unwanted(job_id: int, run: int) -> str | None:
    """Why a message of this run has nothing to do any more."""
    try:
        job = read_job(job_id)
    except NotFound as error:
        return str(error)
    if job.run != run:
        return f"it was sent for run {run}, and the job is in run {job.run}"
    if job.status not in FILLABLE:
        return f"the job is {job.status}"
    return None

"""The callback of a fan-out: a job of one item, submitted when the fan-out has finished.

Its idempotency key names the fan-out and its run, so it is submitted once: by the worker
that reported the last item, or by a sweep, in the transaction that marks the event. From then on it
is processed like any item: its worker may be killed, and its failures are retried.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery

from joblot.contrib.celery import hints
from joblot.errors import JoblotError
from joblot.ledger.db.transactions import alias
from joblot.ledger.report.hooks import JobNotice
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Job
from joblot.wire import GrantedLease

logger = logging.getLogger("joblot.celery")


def submit_callback(notice: JobNotice) -> None:
    """Submit the callback of this run, if the job has one and it is not submitted yet."""
    job = Job.objects.using(alias()).filter(pk=notice.job_id).first()
    callback = None if job is None else callback_in(job.config)
    if job is None or callback is None:
        return
    submit(
        f"{job.name[:150]}: callback",
        [{"key": "callback", "payload": _about(notice)}],
        pipeline=hints.pipeline_of(callback["task"]),
        project=job.project,
        config={"celery": {one: callback[one] for one in ("args", "kwargs", "immutable")}},
        policy=callback["policy"],
        idempotency_key=f"celery callback {notice.job_id}/{notice.run}",
    )


def submit_if_finished(app: Celery, lease: GrantedLease) -> None:
    """The same, at once, after a report through this lease. If it fails, the sweep does it."""
    callback = callback_in(lease.config)
    if callback is None:
        return
    ended = {"job_id": lease.job, "run": lease.run, "kind": "finished"}
    event = Event.objects.using(alias()).filter(**ended).first()
    if event is None:
        return
    try:
        submit_callback(
            JobNotice(event.pk, event.job_id, event.run, event.revision, event.kind, event.data)
        )
    except JoblotError as error:
        logger.warning("job %s: its callback waits for the sweep: %s", lease.job, error)
        return
    hints.send(app.tasks[callback["task"]])


def callback_in(config: Any) -> Mapping[str, Any] | None:
    """The callback that `fan_out` has put into a job's config."""
    known = config.get("celery") if isinstance(config, dict) else None
    return known.get("callback") if isinstance(known, dict) else None


def _about(notice: JobNotice) -> dict[str, Any]:
    """What the callback is called with. The same for everybody who submits it."""
    return {"job": notice.job_id, "run": notice.run, "status": notice.data["status"]}

"""What a producer or an operator does to a whole job: start, pause, resume, cancel, delete.

Each verb first changes the status by compare-and-set, then does the rest in repeatable steps: if a
process dies in between, the sweep continues. So two processes may do the same at once, and each
step names the run it is for, so that the slower one can't apply it to the next run.

`actor` and `reason` say who asked, and why; the event of the change carries them, and so do the
events of what the sweep continues for this verb.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce

from joblot import clock, telemetry
from joblot.config import limits
from joblot.errors import WrongStatus
from joblot.ledger.db.transactions import alias, connection, knowing, repeated, require_durable
from joblot.ledger.job import removal
from joblot.ledger.job.cancel_call import CancelOutcome, cancel_in_one_call
from joblot.ledger.job.close import close_leases, drain_claims
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import go_on_reopening
from joblot.ledger.job.unsettled import require_unsettled, still_unsettled
from joblot.ledger.rows.author import Author, author_of
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.job import (
    NewEvent,
    advance,
    advance_and_record,
    overtaken,
    policy_of,
    read_job,
    require_transition,
    stages_of,
)
from joblot.ledger.rows.tallies import settled, tried
from joblot.models import LIVE, Job, Lease
from joblot.states import CLAIMABLE, TERMINAL, JobStatus, JobTransition
from joblot.words import quoted

_CONTINUES = "the next sweep continues what was begun, and repeating the request is safe"


@telemetry.verb("start")
@knowing(lambda: _CONTINUES)
def start(job_id: int, *, actor: str = "", reason: str = "") -> Job:
    """Make the job's items claimable. Starting a job that was already started does nothing."""
    by, started = author_of(actor, reason), frozenset(JobStatus) - {JobStatus.CREATED}
    _change(job_id, JobTransition.START, "started", by, unless=started)
    reconcile(job_id)
    return read_job(job_id)


@telemetry.verb("pause")
def pause(job_id: int, *, actor: str = "", reason: str = "") -> Job:
    """Grant no more leases; results through leases in flight still count."""
    by = author_of(actor, reason)
    _change(job_id, JobTransition.PAUSE, "paused", by, unless={JobStatus.PAUSED})
    return read_job(job_id)


@telemetry.verb("resume")
def resume(job_id: int, *, actor: str = "", reason: str = "") -> Job:
    """Grant leases again after a pause."""
    by, began = author_of(actor, reason), Coalesce("started_at", clock.now())
    _change(job_id, JobTransition.RESUME, "resumed", by, unless=CLAIMABLE, started_at=began)
    return read_job(job_id)


@telemetry.verb("cancel")
@knowing(lambda: _CONTINUES)
def cancel(
    job_id: int,
    *,
    grace_seconds: float | None = None,
    expected: int | None = None,
    or_fewer: bool = False,
    actor: str = "",
    reason: str = "",
) -> Job:
    """End the job without its open items.

    No lease is granted once this returns. Leases in flight may report for `grace_seconds` (default:
    the policy's `cancel_grace_seconds`); when none is left, or the grace period is over, the job is
    REVOKED and its counts are final. Canceling a canceled job does nothing more. `expected` is the
    number of items that are not settled in the last stage, as the caller knows it; with `or_fewer`,
    it may have become smaller, as it does while workers report. Raises WrongStatus for a job that
    has ended otherwise; NumberChanged if there are more or fewer such items at the moment of the
    change.
    """
    by, canceled = author_of(actor, reason), {JobStatus.CANCELING, JobStatus.REVOKED}
    if expected is None and (outcome := cancel_in_one_call(job_id, grace_seconds, by)):
        if outcome is CancelOutcome.CLOSED:
            reconcile(job_id)
        return read_job(job_id, deleted=True)
    job = _change(
        job_id,
        JobTransition.CANCEL,
        "canceling",
        by,
        unless=canceled,
        expected=expected,
        or_fewer=or_fewer,
        cancel_closes_at=None,
    )
    return _go_on_canceling(job, grace_seconds)


def end_cancel(job_id: int, *, grace_seconds: float | None = None) -> Job:
    """Continue a cancel: drain the claims, and once the grace period is over, close and revoke."""
    return _go_on_canceling(read_job(job_id, deleted=True), grace_seconds)


def _go_on_canceling(job: Job, grace_seconds: float | None) -> Job:
    if job.status == JobStatus.CANCELING:
        if job.cancel_closes_at is None:
            drain_claims(job.pk, job.run)
            if grace_seconds is None:
                grace_seconds = policy_of(job).cancel_grace_seconds
        if grace_seconds is not None:
            _close_by(job, grace_seconds)
        if grace_seconds == 0 or _cancel_is_due(job.pk):
            close_leases(job.pk, job.run, unsettled=True)
            reconcile(job.pk)
    return read_job(job.pk, deleted=True)


def _close_by(job: Job, grace_seconds: float) -> None:
    """Set the deadline of this run's cancel, or bring it forward; never postpones it."""
    run = job.run
    for _ in range(limits().reconcile_rounds_max):
        if (job.status, job.run) != (JobStatus.CANCELING, run):
            return
        if job.cancel_closes_at is not None and _closes_before(job, grace_seconds):
            return
        if _advance_durably(job, cancel_closes_at=clock.after(grace_seconds)):
            return
        job = read_job(job.pk, deleted=True)
    raise overtaken(job.pk)


@repeated
def _closes_before(job: Job, seconds: float) -> bool:
    row = Job.ledger.using(alias()).filter(pk=job.pk, cancel_closes_at__lte=clock.after(seconds))
    return bool(row.exists())


@repeated
def _advance_durably(job: Job, **changes: Any) -> bool:
    require_durable(connection())
    return advance(job.pk, job.version, **changes)


@repeated
def _cancel_is_due(job_id: int) -> bool:
    """True once the claims are drained, and the grace period is over or no lease is live."""
    canceling = Job.ledger.using(alias()).filter(pk=job_id, status=JobStatus.CANCELING)
    if canceling.filter(cancel_closes_at__lte=clock.now()).exists():
        return True
    live = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id).order_by("stage")
    return canceling.filter(cancel_closes_at__isnull=False).exists() and not live[:1]


@telemetry.verb("delete")
@knowing(lambda: _CONTINUES)
def delete(job_id: int, *, actor: str = "", reason: str = "") -> None:
    """Cancel the job at once and hide it; the sweep removes its rows, except its leases.

    Later results get receipts saying that the job was deleted; `prune` removes the rest.
    """
    by = author_of(actor, reason)
    if read_job(job_id).status not in TERMINAL:
        cancel(job_id, grace_seconds=0, actor=actor, reason=reason)
    if not removal.begin(job_id, by=by):
        status = read_job(job_id).status
        raise WrongStatus(f"job {job_id} is {quoted(status)} again; delete it again")


def _change(
    job_id: int,
    transition: JobTransition,
    kind: str,
    by: Author,
    *,
    unless: Collection[JobStatus] = (),
    expected: int | None = None,
    or_fewer: bool = False,
    **changes: Any,
) -> Job:
    """Make `transition`, with its event in the outbox; retried while overtaken.

    Does nothing in a status of `unless`, in which the requested change has already happened.
    Returns the job as it is then, but for times that the database sets.
    """
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        if job.status in unless:
            return job
        if transition is JobTransition.START and job.reopening is not None:
            go_on_reopening(job_id)
            continue
        target = require_transition(job, transition)
        # Nothing is settled while a job is CREATED, so the count still holds when it starts.
        data: dict[str, Any] = {}
        if transition is JobTransition.START:
            data["settled"] = settled(job_id)
        elif transition is JobTransition.RESUME and policy_of(job).halts:
            data["tried"] = tried(
                job_id, len(stages_of(job_id))
            )  # the count for a halt begins again
        only = None
        if expected is not None:
            require_unsettled(job, expected, or_fewer=or_fewer)
            only = still_unsettled(job, expected, or_fewer=or_fewer)
        if _change_once(job, kind, data, by, only, status=target.value, **changes):
            note_claimable()
            job.status, job.version = target, job.version + 1
            return job
    raise overtaken(job_id)


@repeated
def _change_once(
    job: Job, kind: str, data: dict[str, Any], by: Author, only: Q | None = None, **changes: Any
) -> bool:
    event = NewEvent(job.run, job.revision, kind, data, by)
    return advance_and_record(job.pk, job.version, event, only, **changes)

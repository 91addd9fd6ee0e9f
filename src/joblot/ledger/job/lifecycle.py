"""What a producer or an operator does to a whole job: start, pause, resume, cancel, retry, delete.

Each changes the status by compare-and-set first and does what follows after, in steps that may be
repeated: whoever dies on the way, the sweep goes on from there. So two may do the same at once, and
each step names the run it is for: the slower one must not do it to the next run.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models.functions import Coalesce

from joblot import clock, faults
from joblot.config import limits
from joblot.errors import InvalidInput, Unavailable, WrongStatus
from joblot.ledger.db.transactions import alias, durable, knowing, repeated
from joblot.ledger.job import removal
from joblot.ledger.job.close import close_leases, drain_claims
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.reopen import reopen
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.job import advance, policy_of, read_job, record_event, require_transition
from joblot.ledger.rows.tallies import settled
from joblot.models import LIVE, Job, Lease
from joblot.states import CLAIMABLE, RETRYABLE, TERMINAL, JobStatus, JobTransition

_GOES_ON = "what was begun goes on with the next sweep, and to ask again is safe"


@knowing(lambda: _GOES_ON)
def start(job_id: int) -> Job:
    """Let the job's items be claimed. Starting a job that was started already does nothing."""
    _change(
        job_id, JobTransition.START, "started", unless=frozenset(JobStatus) - {JobStatus.CREATED}
    )
    reconcile(job_id)
    return read_job(job_id)


def pause(job_id: int) -> Job:
    """Grant no more leases; results of those in flight still count."""
    _change(job_id, JobTransition.PAUSE, "paused", unless={JobStatus.PAUSED})
    return read_job(job_id)


def resume(job_id: int) -> Job:
    """Grant leases again after a pause."""
    began = Coalesce("started_at", clock.now())
    _change(job_id, JobTransition.RESUME, "resumed", unless=CLAIMABLE, started_at=began)
    return read_job(job_id)


@knowing(lambda: _GOES_ON)
def cancel(job_id: int, *, grace_seconds: float | None = None) -> Job:
    """End the job without its open items.

    No lease is granted once this returns. Leases in flight may report for `grace_seconds` (the
    policy's `cancel_grace_seconds`); when none is left, or the grace is over, the job is REVOKED
    and its counts are final. Canceling a canceled job does nothing more; one that has ended
    otherwise raises WrongStatus.
    """
    canceled = {JobStatus.CANCELING, JobStatus.REVOKED}
    _change(job_id, JobTransition.CANCEL, "canceling", unless=canceled, cancel_closes_at=None)
    return end_cancel(job_id, grace_seconds=grace_seconds)


def end_cancel(job_id: int, *, grace_seconds: float | None = None) -> Job:
    """Go on with a cancel: drain the claims, and once the grace is over close and revoke."""
    job = read_job(job_id, deleted=True)
    if job.status == JobStatus.CANCELING:
        if job.cancel_closes_at is None:
            drain_claims(job_id, {JobStatus.CANCELING}, job.run)
            if grace_seconds is None:
                grace_seconds = policy_of(job).cancel_grace_seconds
        if grace_seconds is not None:
            _close_by(job_id, job.run, grace_seconds)
    if _cancel_is_due(job_id):
        close_leases(job_id, job.run)
        reconcile(job_id)
    return read_job(job_id, deleted=True)


def _close_by(job_id: int, run: int, grace_seconds: float) -> None:
    """Set the deadline of this run's cancel, or bring it forward; never later than it was."""
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id, deleted=True)
        if (job.status, job.run) != (JobStatus.CANCELING, run):
            return
        if _closes_before(job, grace_seconds):
            return
        if _advance_durably(job, cancel_closes_at=clock.after(grace_seconds)):
            return
    raise _overtaken(job_id)


@repeated
def _closes_before(job: Job, seconds: float) -> bool:
    row = Job.ledger.using(alias()).filter(pk=job.pk, cancel_closes_at__lte=clock.after(seconds))
    return bool(row.exists())


@repeated
def _advance_durably(job: Job, **changes: Any) -> bool:
    with durable():
        return advance(job.pk, job.version, **changes)


@repeated
def _cancel_is_due(job_id: int) -> bool:
    """True when the claims are drained and the grace is over, or nothing is in flight any more."""
    canceling = Job.ledger.using(alias()).filter(pk=job_id, status=JobStatus.CANCELING)
    if canceling.filter(cancel_closes_at__lte=clock.now()).exists():
        return True
    live = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id).order_by("stage")
    return canceling.filter(cancel_closes_at__isnull=False).exists() and not live[:1]


@knowing(lambda: "a run that was begun goes on with the next sweep; see which run the job is in")
def retry(
    job_id: int, *, config: Any = None, start_now: bool = True, run: int | None = None
) -> Job:
    """Begin the next run of a job that has ended, with only what did not succeed.

    `config` replaces the job's for the new run. With `run`, the number of the run to be begun,
    asking again does not begin another one after it. Raises WrongStatus for a job that is active,
    or that succeeded, or whose run was begun with another config; InvalidInput if `run` is not the
    next. May be called again after a crash: it goes on where it was.
    """
    _begin_run(job_id, config, start_now=start_now, run=run)
    go_on_reopening(job_id)
    return read_job(job_id)


def go_on_reopening(job_id: int) -> None:
    """Finish what a retry has begun; does nothing where there is nothing to finish.

    Closing the leases comes first: a result of the run before must not settle what is reopened.
    """
    job = read_job(job_id)
    if job.reopening is None:
        return
    close_leases(job_id, job.run - 1)
    reopen(job_id, job.run)
    note_claimable()
    reconcile(job_id)


def _begin_run(job_id: int, config: Any, *, start_now: bool, run: int | None) -> None:
    """Terminal -> CREATED in the next run; nothing where that run has begun already."""
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        if _has_begun(job, run):
            if config is not None and config != job.config:
                raise WrongStatus(f"job {job_id}: its run {job.run} has begun with another config")
            return
        if run is not None and run != job.run + 1:
            raise InvalidInput(f"run: expected {job.run + 1}, the next one, got {run}")
        if job.status not in RETRYABLE:
            allowed = ", ".join(sorted(RETRYABLE))
            raise WrongStatus(
                f"job {job_id} is {job.status}; a retry is possible in {allowed} only"
            )
        status = require_transition(job, JobTransition.RETRY).value
        if _change_once(job, "retried", {}, status=status, **_next_run(job, config, start_now)):
            faults.point("retry: next run begun")
            return
    raise _overtaken(job_id)


def _has_begun(job: Job, run: int | None) -> bool:
    if run is not None and run <= job.run:
        return True
    return job.status == JobStatus.CREATED and job.reopening is not None and run is None


def _next_run(job: Job, config: Any, start_now: bool) -> dict[str, Any]:
    return {
        "run": job.run + 1,
        "revision": 0,
        "recorded": None,
        "reopening": {"stage": 0, "number": 0, "start": start_now},
        "started_at": None,
        "finished_at": None,
        "cancel_closes_at": None,
        "config": job.config if config is None else config,
    }


@knowing(lambda: _GOES_ON)
def delete(job_id: int) -> None:
    """Cancel the job at once and hide it; the sweep removes its rows, but for its leases.

    Results that come later are told that the job was deleted; `prune` removes what is left.
    """
    if read_job(job_id).status not in TERMINAL:
        cancel(job_id, grace_seconds=0)
    if not removal.begin(job_id, tell=True):
        status = read_job(job_id).status
        raise WrongStatus(f"job {job_id} is {status} again; delete it again")


def _change(
    job_id: int,
    transition: JobTransition,
    kind: str,
    *,
    unless: Collection[JobStatus] = (),
    **changes: Any,
) -> None:
    """Make `transition`, with its event in the outbox; repeated while overtaken.

    Does nothing in a status of `unless`, where what was asked is so already.
    """
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        if job.status in unless:
            return
        if transition is JobTransition.START and job.reopening is not None:
            go_on_reopening(job_id)
            continue
        target = require_transition(job, transition)
        # Nothing is settled while a job is CREATED, so this is still so when it starts.
        told = {"settled": settled(job_id)} if transition is JobTransition.START else {}
        if _change_once(job, kind, told, status=target.value, **changes):
            note_claimable()
            return
    raise _overtaken(job_id)


@repeated
def _change_once(job: Job, kind: str, told: dict[str, Any], **changes: Any) -> bool:
    with durable():
        won = advance(job.pk, job.version, **changes)
        if won:
            run, revision = changes.get("run", job.run), changes.get("revision", job.revision)
            record_event(job.pk, run, revision, kind, told)
    return won


def _overtaken(job_id: int) -> Unavailable:
    return Unavailable(
        f"job {job_id}: other changes came first {limits().reconcile_rounds_max} times; try again"
    )

"""Retry: the next run of a job that has ended, of what did not succeed or of one cause.

The run is begun by compare-and-set; then the leases of the previous one are closed, and its items
are reopened in repeatable steps, which the sweep continues if a process dies in between.
"""

from __future__ import annotations

from typing import Any

from joblot import faults, telemetry
from joblot.config import limits
from joblot.errors import InvalidInput, NotFound, NumberChanged, WrongStatus
from joblot.fingerprint import is_cause
from joblot.ledger.db.transactions import alias, durable, knowing, repeated
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.reopen import reopen, to_reopen
from joblot.ledger.rows.author import Author, author_of
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.job import (
    advance,
    overtaken,
    read_job,
    record_event,
    require_transition,
)
from joblot.models import Event, Job
from joblot.shown import counted, shown
from joblot.states import AMENDABLE, RETRYABLE, JobStatus, JobTransition
from joblot.words import any_of, quoted


@telemetry.verb("retry")
@knowing(lambda: "the next sweep continues a run that was begun; check which run the job is in")
def retry(
    job_id: int,
    *,
    cause: str | None = None,
    expected: int | None = None,
    config: Any = None,
    start_now: bool = True,
    run: int | None = None,
    actor: str = "",
    reason: str = "",
) -> Job:
    """Begin the next run of a job that has ended, with only the items that did not succeed.

    With a `cause`, as in the answer of `causes`, only with the items that failed for it; all others
    stay as they are, so a job that was canceled can't be retried by cause. `expected` is how many
    items the run must begin with: if the number is another one, nothing is changed, and
    NumberChanged is raised. `config` replaces the job's config for the new run. With `run`, the
    number of the run to begin, repeating the call does not begin a further run. Raises WrongStatus
    for a job that is active, that succeeded, or whose run was begun with another config or cause;
    NotFound if no item failed for the cause; InvalidInput if `run` is not the next one. May be
    called again after a crash: it continues where it stopped.
    """
    if cause is not None and not is_cause(cause):
        raise InvalidInput(f"cause: expected 16 hexadecimal digits, got {shown(cause)}")
    by = author_of(actor, reason)
    _begin_run(job_id, config, by, start_now=start_now, run=run, cause=cause, expected=expected)
    go_on_reopening(job_id)
    return read_job(job_id)


def go_on_reopening(job_id: int) -> None:
    """Finish a retry that was begun; does nothing if there is none.

    Closes the leases first: a result of the previous run must not settle a reopened item.
    """
    job = read_job(job_id)
    if job.reopening is None:
        return
    close_leases(job_id, job.run - 1)
    reopen(job_id, job.run)
    note_claimable()
    reconcile(job_id)


def _begin_run(
    job_id: int,
    config: Any,
    by: Author,
    *,
    start_now: bool,
    run: int | None,
    cause: str | None,
    expected: int | None,
) -> None:
    """Terminal -> CREATED in the next run; does nothing if that run has already begun."""
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        if _has_begun(job, run):
            if config is not None and config != job.config:
                raise WrongStatus(f"job {job_id}: run {job.run} was begun with another config")
            if cause is not None and cause != _begun_for(job):
                raise WrongStatus(f"job {job_id}: run {job.run} was begun for another cause")
            return
        if run is not None and run != job.run + 1:
            raise InvalidInput(f"run: expected {job.run + 1}, the next run, got {run}")
        _require_retryable(job, cause)
        next_run = _next_run(job, config, start_now, cause, by)
        if _begin_once(job, cause, expected, next_run, by):
            faults.point("retry: next run begun")
            return
    raise overtaken(job_id)


def _require_retryable(job: Job, cause: str | None) -> None:
    """All items of a run that has finished are settled; only then may those of a cause go alone."""
    among, what = (RETRYABLE, "a retry") if cause is None else (AMENDABLE, "a retry by cause")
    if job.status not in among:
        raise WrongStatus(
            f"job {job.pk} is {quoted(job.status)}; {what} is possible only if it is "
            f"{any_of(among)}"
        )


@repeated
def _begin_once(
    job: Job, cause: str | None, expected: int | None, next_run: dict[str, Any], by: Author
) -> bool:
    """Counts after the change, in its transaction, so that what is counted is what is changed."""
    with durable():
        if not advance(job.pk, job.version, **next_run):
            return False
        items = to_reopen(job, cause)
        if expected is not None and items != expected:
            raise NumberChanged(
                f"job {job.pk}: expected to retry {counted(expected, 'item')}, but it would be "
                f"{items:,} now; look again, and repeat the request with this number",
                expected,
                items,
            )
        if cause is not None and not items:
            raise NotFound(f"job {job.pk}: no item failed for cause {cause}")
        data = {"items": items} | ({} if cause is None else {"cause": cause})
        record_event(job.pk, next_run["run"], next_run["revision"], "retried", data, by=by)
    return True


@repeated
def _begun_for(job: Job) -> str | None:
    """The cause for which the job's run was begun; None if for all items."""
    begun = Event.ledger.using(alias()).filter(job_id=job.pk, run=job.run, kind="retried").first()
    return begun.data.get("cause") if begun else None


def _has_begun(job: Job, run: int | None) -> bool:
    if run is not None and run <= job.run:
        return True
    return job.status == JobStatus.CREATED and job.reopening is not None and run is None


def _next_run(
    job: Job, config: Any, start_now: bool, cause: str | None, by: Author
) -> dict[str, Any]:
    reopening = {"stage": 0, "number": 0, "start": start_now, "by": by.fields()}
    return {
        "status": require_transition(job, JobTransition.RETRY).value,
        "run": job.run + 1,
        "revision": 0,
        "recorded": None,
        "reopening": reopening if cause is None else reopening | {"cause": cause},
        "started_at": None,
        "finished_at": None,
        "cancel_closes_at": None,
        "config": job.config if config is None else config,
    }

"""Retry: the next run of a job that has ended, or of a selection that failed; or within a run.

The run is begun by compare-and-set; then the leases of the previous one are closed, and its items
are reopened in repeatable steps, which the sweep continues if a process dies in between.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from joblot import faults, telemetry
from joblot.config import limits
from joblot.errors import InvalidInput, NotFound, NumberChanged, WrongStatus
from joblot.ledger.db.transactions import alias, durable, knowing, repeated
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.reopen import reopen, to_reopen
from joblot.ledger.job.reopen_failed import RunOver, reopen_failed
from joblot.ledger.job.selection import Selection
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
from joblot.shown import counted
from joblot.states import AMENDABLE, FINALIZABLE, RETRYABLE, JobStatus, JobTransition
from joblot.words import any_of, quoted


@telemetry.verb("retry")
@knowing(lambda: "the next sweep continues a run that was begun; check which run the job is in")
def retry(
    job_id: int,
    *,
    cause: str | None = None,
    stage: str | None = None,
    keys: Collection[str] | None = None,
    failed: bool = False,
    expected: int | None = None,
    config: Any = None,
    start_now: bool = True,
    run: int | None = None,
    actor: str = "",
    reason: str = "",
) -> Job:
    """Work again on what did not succeed: in the next run, or a selection within this one.

    Without a selection, the job must have ended; its next run has all items that did not succeed.

    `cause` (as in the answer of `causes`), `stage` and `keys` each narrow the selection to items
    that failed or were lost for it, there, or with these keys; `failed` alone selects all of them.
    All others stay as they are, so a job that was canceled can't be retried in part. While the job
    is running or paused, the selected items are open again at once, with the event "reopened" and
    their full budgets; of a job that has ended, they are the next run.

    `expected` is how many items must be retried: if the number is another one, nothing is changed,
    and NumberChanged is raised. `config` replaces the job's config for the new run. With `run`, the
    number of the run to begin, repeating the call does not begin a further run, and nothing is
    reopened within a run. Raises WrongStatus for a job in which this is not possible, or whose run
    was begun with another config or selection; NotFound if nothing selected has failed, or for an
    unknown key; InvalidInput if `run` is not the next one. May be called again after a crash: it
    continues where it stopped.
    """
    selection = Selection.of(job_id, cause=cause, stage=stage, keys=keys, failed=failed)
    by = author_of(actor, reason)
    within = config is None and start_now and run is None
    if selection is not None and within and _reopened(job_id, selection, expected, by):
        return read_job(job_id)
    _begin_run(
        job_id, config, by, start_now=start_now, run=run, selection=selection, expected=expected
    )
    go_on_reopening(job_id)
    return read_job(job_id)


def _reopened(job_id: int, selection: Selection, expected: int | None, by: Author) -> bool:
    """Retry within the run; False if the job is not running. Raises NotFound, NumberChanged."""
    job = read_job(job_id)
    if job.status not in FINALIZABLE:
        return False
    try:
        items = reopen_failed(job_id, job.run, selection, expected, by)
    except RunOver:
        return False
    if not items:
        raise _nothing_failed(job_id)
    note_claimable()
    reconcile(job_id)
    return True


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
    selection: Selection | None,
    expected: int | None,
) -> None:
    """Terminal -> CREATED in the next run; does nothing if that run has already begun."""
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        if _has_begun(job, run):
            if config is not None and config != job.config:
                raise WrongStatus(f"job {job_id}: run {job.run} was begun with another config")
            if selection is not None and selection != _begun_for(job):
                raise WrongStatus(f"job {job_id}: run {job.run} was begun for another selection")
            return
        if run is not None and run != job.run + 1:
            raise InvalidInput(f"run: expected {job.run + 1}, the next run, got {run}")
        _require_retryable(job, selection)
        next_run = _next_run(job, config, start_now, selection, by)
        if _begin_once(job, selection, expected, next_run, by):
            faults.point("retry: next run begun")
            return
    raise overtaken(job_id)


def _require_retryable(job: Job, selection: Selection | None) -> None:
    """All items of a run that has finished are settled; only then may a selection go alone."""
    among = RETRYABLE if selection is None else AMENDABLE
    if job.status in among:
        return
    what = "a retry" if selection is None else "the next run of a selection"
    hint = "; name what failed to retry it now" if selection is None else ""
    raise WrongStatus(
        f"job {job.pk} is {quoted(job.status)}; {what} is possible only if it is {any_of(among)}"
        f"{hint if job.status in FINALIZABLE else ''}"
    )


def _nothing_failed(job_id: int) -> NotFound:
    return NotFound(f"job {job_id}: no item of this selection has failed")


@repeated
def _begin_once(
    job: Job,
    selection: Selection | None,
    expected: int | None,
    next_run: dict[str, Any],
    by: Author,
) -> bool:
    """Counts after the change, in its transaction, so that what is counted is what is changed."""
    with durable():
        if not advance(job.pk, job.version, **next_run):
            return False
        items = to_reopen(job, selection)
        if expected is not None and items != expected:
            raise NumberChanged(
                f"job {job.pk}: expected to retry {counted(expected, 'item')}, but it would be "
                f"{items:,} now; look again, and repeat the request with this number",
                expected,
                items,
            )
        if selection is not None and not items:
            raise _nothing_failed(job.pk)
        data = {"items": items} | _stored(selection)
        record_event(job.pk, next_run["run"], next_run["revision"], "retried", data, by=by)
    return True


@repeated
def _begun_for(job: Job) -> Selection | None:
    """The selection for which the job's run was begun; None if for all items."""
    begun = Event.ledger.using(alias()).filter(job_id=job.pk, run=job.run, kind="retried").first()
    return Selection.stored(begun.data) if begun else None


def _stored(selection: Selection | None) -> dict[str, Any]:
    return {} if selection is None else selection.as_json()


def _has_begun(job: Job, run: int | None) -> bool:
    if run is not None and run <= job.run:
        return True
    return job.status == JobStatus.CREATED and job.reopening is not None and run is None


def _next_run(
    job: Job, config: Any, start_now: bool, selection: Selection | None, by: Author
) -> dict[str, Any]:
    reopening = {"stage": 0, "number": 0, "start": start_now, "by": by.fields()}
    return {
        "status": require_transition(job, JobTransition.RETRY).value,
        "run": job.run + 1,
        "revision": 0,
        "recorded": None,
        "reopening": reopening | _stored(selection),
        "started_at": None,
        "finished_at": None,
        "cancel_closes_at": None,
        "config": job.config if config is None else config,
    }

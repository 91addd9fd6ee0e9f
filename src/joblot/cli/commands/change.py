"""Commands that change a whole job: `seal`, `cancel`, `pause`, `resume`, `retry`, `delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.database import open_database
from joblot.cli.operator_name import operator
from joblot.cli.options import CauseId, Db, JobId, Reason, json_of
from joblot.cli.plan import is_of_run
from joblot.cli.printable import printable
from joblot.shown import counted


def seal(job: JobId, *, reason: Reason = "", db: Db = None) -> None:
    """Declare that no more items will be added, so that the job can finish."""
    open_database(db)
    before = verbs.read_job(job)
    sealed = verbs.seal(job, actor=operator(), reason=reason)
    if is_of_run(before) and not before.sealed:
        text.err().print(
            f"job {job} may not have all the items of its `joblot run`: it will end with the "
            f"{sealed.total:,} it has"
        )
    _print_progress(job)


def cancel(
    job: JobId,
    *,
    grace_seconds: Annotated[
        float | None,
        typer.Option(
            "--grace-seconds",
            min=0,
            help="How long live leases may still report (default: the job's policy).",
        ),
    ] = None,
    reason: Reason = "",
    db: Db = None,
) -> None:
    """Cancel a job: its open items are not worked any more."""
    open_database(db)
    changed = verbs.cancel(job, grace_seconds=grace_seconds, actor=operator(), reason=reason)
    _print_progress(changed.pk)


def pause(job: JobId, *, reason: Reason = "", db: Db = None) -> None:
    """Grant no more leases; results through live leases still count."""
    open_database(db)
    _print_progress(verbs.pause(job, actor=operator(), reason=reason).pk)


def resume(job: JobId, *, reason: Reason = "", db: Db = None) -> None:
    """Grant leases again after a pause. (To continue a job of `run`, use `run --resume`.)"""
    open_database(db)
    _print_progress(verbs.resume(job, actor=operator(), reason=reason).pk)


def retry(
    job: JobId,
    *,
    cause: CauseId = None,
    expected: Annotated[
        int | None,
        typer.Option("--expected", metavar="N", min=0, help="Refuse unless N items are retried."),
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="A new config for this run.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start the run yet.")] = False,
    reason: Reason = "",
    db: Db = None,
) -> None:
    """Begin the next run of a job, with the items that did not succeed, or those of one cause."""
    settings = None if config is None else json_of(config, "--config")
    open_database(db)
    begun = verbs.retry(
        job,
        cause=cause,
        expected=expected,
        config=settings,
        start_now=not hold,
        actor=operator(),
        reason=reason,
    )
    _print_progress(begun.pk)


def delete(
    job: JobId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    reason: Reason = "",
    db: Db = None,
) -> None:
    """Cancel a job at once, and delete it with its items and outputs."""
    open_database(db)
    state = verbs.progress(job)
    if not yes:
        typer.confirm(
            f"delete job {job} ({printable(state['name'])}) with its "
            f"{counted(state['total'], 'item')} and outputs?",
            abort=True,
            err=True,
        )
    verbs.delete(job, actor=operator(), reason=reason)
    text.out().print(f"job {job}: deleted")


def _print_progress(job: int) -> None:
    state = verbs.progress(job)
    text.out().print(f"job {job}: {state['status']}, {text.progress_line(state)}")

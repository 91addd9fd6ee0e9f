"""What is done to a whole job: `seal`, `cancel`, `pause`, `resume`, `retry`, `delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.database import open_database
from joblot.cli.options import Db, JobId, json_of
from joblot.cli.plan import is_of_run
from joblot.cli.printable import printable
from joblot.shown import counted


def seal(job: JobId, *, db: Db = None) -> None:
    """Say that no more items will come, so that the job can finish."""
    open_database(db)
    before = verbs.read_job(job)
    sealed = verbs.seal(job)
    if is_of_run(before) and not before.sealed:
        text.err().print(
            f"job {job} had not been given all the items of its `joblot run`, as far as is known: "
            f"it will end with the {sealed.total:,} it has"
        )
    _tell(job)


def cancel(
    job: JobId,
    *,
    grace_seconds: Annotated[
        float | None,
        typer.Option(
            "--grace-seconds",
            min=0,
            help="How long leases in flight may still report (default: the job's policy).",
        ),
    ] = None,
    db: Db = None,
) -> None:
    """End a job without its open items."""
    open_database(db)
    _tell(verbs.cancel(job, grace_seconds=grace_seconds).pk)


def pause(job: JobId, *, db: Db = None) -> None:
    """Grant no more leases; results of those in flight still count."""
    open_database(db)
    _tell(verbs.pause(job).pk)


def resume(job: JobId, *, db: Db = None) -> None:
    """Grant leases again after a pause. (To work a job of `run`, see `run --resume`.)"""
    open_database(db)
    _tell(verbs.resume(job).pk)


def retry(
    job: JobId,
    *,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="A new config for the run.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start it yet.")] = False,
    db: Db = None,
) -> None:
    """Begin the next run of a job, with only what did not succeed."""
    settings = None if config is None else json_of(config, "--config")
    open_database(db)
    _tell(verbs.retry(job, config=settings, start_now=not hold).pk)


def delete(
    job: JobId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    db: Db = None,
) -> None:
    """Cancel a job at once, and remove it with its items and outputs."""
    open_database(db)
    state = verbs.progress(job)
    if not yes:
        typer.confirm(
            f"delete job {job} ({printable(state['name'])}) with its "
            f"{counted(state['total'], 'item')} and outputs?",
            abort=True,
            err=True,
        )
    verbs.delete(job)
    text.out().print(f"job {job}: deleted")


def _tell(job: int) -> None:
    state = verbs.progress(job)
    text.out().print(f"job {job}: {state['status']}, {text.progress_line(state)}")

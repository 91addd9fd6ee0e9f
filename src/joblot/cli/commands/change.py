"""Commands that change a whole job: `start`, `seal`, `cancel`, `pause`, `retry`, `priority`, …"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.ledger import open_ledger
from joblot.cli.options import Db, JobId, Url, json_of
from joblot.cli.printable import printable
from joblot.shown import counted


def start(job: JobId, *, db: Db = None, url: Url = None) -> None:
    """Let a job's items be claimed, after `submit --hold` or `retry --hold`."""
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.start(job))


def seal(job: JobId, *, db: Db = None, url: Url = None) -> None:
    """Declare that no more items will be added, so that the job can finish."""
    with open_ledger(db, url) as ledger:
        lacks_items = ledger.lacks_items(job)
        sealed = ledger.seal(job)
    if lacks_items:
        text.err().print(
            f"job {job} may not have all the items of its `joblot run`: it will end with the "
            f"{sealed['total']:,} it has"
        )
    _print_progress(sealed)


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
    db: Db = None,
    url: Url = None,
) -> None:
    """Cancel a job: its open items are not worked any more."""
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.cancel(job, grace_seconds=grace_seconds))


def pause(job: JobId, *, db: Db = None, url: Url = None) -> None:
    """Grant no more leases; results through live leases still count."""
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.pause(job))


def resume(job: JobId, *, db: Db = None, url: Url = None) -> None:
    """Grant leases again after a pause. (To continue a job of `run`, use `run --resume`.)"""
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.resume(job))


def retry(
    job: JobId,
    *,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="A new config for this run.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start the run yet.")] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Begin the next run of a job, with the items that did not succeed."""
    settings = None if config is None else json_of(config, "--config")
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.retry(job, config=settings, start_now=not hold))


def priority(
    job: JobId,
    to: Annotated[
        int, typer.Argument(metavar="N", help="Higher is served first; -- before a negative one.")
    ],
    *,
    db: Db = None,
    url: Url = None,
) -> None:
    """Change the priority of a job among those of its project."""
    with open_ledger(db, url) as ledger:
        state = ledger.edit(job, priority=to)
    text.out().print(f"job {job}: priority {state['priority']}")


def delete(
    job: JobId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Cancel a job at once, and delete it with its items and outputs."""
    with open_ledger(db, url) as ledger:
        state = ledger.progress(job)
        if not yes:
            typer.confirm(
                f"delete job {job} ({printable(state['name'])}) with its "
                f"{counted(state['total'], 'item')} and outputs?",
                abort=True,
                err=True,
            )
        ledger.delete(job)
    text.out().print(f"job {job}: deleted")


def _print_progress(state: dict[str, Any]) -> None:
    text.out().print(f"job {state['id']}: {state['status']}, {text.progress_line(state)}")

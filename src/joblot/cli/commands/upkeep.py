"""For an operator: `prune` removes old jobs, `expire` takes a lease from a dead worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.ledger import open_ledger
from joblot.cli.options import Db, Url, seconds_of
from joblot.shown import counted


def prune(
    *,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="TIME", help="How long ago they ended: 90s, 12h, 30d."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Remove the jobs that ended longer ago, with their items and outputs."""
    age = timedelta(seconds=seconds_of(older_than, "--older-than"))
    with open_ledger(db, url) as ledger:
        if not yes:
            question = f"remove every job that ended more than {older_than} ago, with its outputs?"
            typer.confirm(question, abort=True, err=True)
        removed = ledger.prune(age)
    text.out().print(f"{counted(removed, 'job')} removed")


def expire(
    lease: Annotated[str, typer.Argument(metavar="LEASE", help="Its token.")],
    *,
    db: Db = None,
    url: Url = None,
) -> None:
    """Give a dead worker's items back now. If it is alive after all, its successes still count."""
    with open_ledger(db, url) as ledger:
        expired = ledger.expire(lease)
    found = "expired; its items are in the queue again" if expired else "was not live any more"
    text.out().print(f"lease {lease}: {found}")

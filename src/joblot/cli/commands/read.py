"""Reading: `jobs`, `show`, `why`, `items`, `logs`, `workers`. None of them writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from joblot.cli import failures, text
from joblot.cli.ledger import Row, open_ledger
from joblot.cli.options import ID_MAX, After, AsJson, CauseId, Db, JobId, Limit, Url
from joblot.cli.printable import say_json
from joblot.states import ItemState, JobStatus

State = StrEnum("State", [(state.name, state.name.lower()) for state in ItemState])  # type: ignore[misc]


def jobs(
    *,
    project: Annotated[str | None, typer.Option("--project", help="Only of this project.")] = None,
    status: Annotated[
        JobStatus | None, typer.Option("--status", help="Only in this status.")
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="NAME", help="Only submitted by NAME; `me`: by you."),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="JOB", max=ID_MAX, help="Only older jobs: the next page."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """List jobs, the newest first."""
    given = {"project": project, "status": status and status.value, "owner": owner}
    filters = {name: value for name, value in given.items() if value is not None}
    with open_ledger(db, url) as ledger:
        page = ledger.jobs(before=before, limit=limit, **filters)
    say_json(page) if as_json else text.jobs(page)


def show(job: JobId, *, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """Show a job: its status, the counts of its stages, why it has not finished or items failed."""
    with open_ledger(db, url) as ledger:
        if as_json:
            say_json(ledger.progress(job))
            return
        found = ledger.summary(job)
    text.job(found["job"])
    text.reasons(found)
    failures.brief(found, text.out())


def why(job: JobId, *, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """Show what a job's open items wait for, and why others failed."""
    with open_ledger(db, url) as ledger:
        if as_json:
            say_json(ledger.why(job))
            return
        found = ledger.summary(job)
        command = ledger.how_to_go_on(job)
    text.reasons(found)
    failures.brief(found, text.out())
    if command:
        text.out().print(
            f"if nothing works on it any more, continue with: {command}", soft_wrap=True
        )


def items(
    job: JobId,
    *,
    state: Annotated[
        State | None, typer.Option("--state", help="Only items in this state.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Take states from this stage.")
    ] = None,
    cause: CauseId = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="Only the item with this key. Repeatable."),
    ] = None,
    after: After = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """List items by number, with the causes of failures."""
    begin = -1 if after is None else after
    wanted = state.value if state else None
    with open_ledger(db, url) as ledger:
        read = partial(ledger.items, job, state=wanted, stage=stage, cause=cause, keys=keys)
        page, following = _items(read, begin, limit)
    if as_json:
        say_json(page)
        return
    text.items(page)
    if following is not None:
        text.err().print(f"the next page: --after {following}")


def _items(
    read: Callable[..., tuple[Sequence[Row], int | None]], after: int, limit: int
) -> tuple[list[Row], int | None]:
    """Up to `limit` items, and where the rest begins; the ledger reads them in short pages."""
    found: list[Row] = []
    following: int | None = after
    while following is not None and len(found) < limit:
        page, following = read(after=following, limit=limit - len(found))
        found += page
    return found, following


def logs(
    job: JobId,
    *,
    item: Annotated[
        int | None,
        typer.Option(
            "--item", metavar="N", min=0, help="Only lines about this item; the first item is 0."
        ),
    ] = None,
    after: After = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Print a job's log, oldest first."""
    with open_ledger(db, url) as ledger:
        page = ledger.logs(job, after=after or 0, limit=limit, item=item)
    say_json(page) if as_json else text.logs(page)


def workers(*, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """List the workers that have been seen, the last one first."""
    with open_ledger(db, url) as ledger:
        page = ledger.workers()
    say_json(page) if as_json else text.workers(page)

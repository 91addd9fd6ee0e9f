"""Reading: `jobs`, `show`, `watch`, `why`, `causes`, `items`, `logs`. None of them writes."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from joblot.cli import failures, text, verbs
from joblot.cli.database import open_database
from joblot.cli.display import ProgressDisplay
from joblot.cli.exits import exit_code_of
from joblot.cli.options import ID_MAX, After, AsJson, CauseId, Db, JobId, Limit
from joblot.cli.plan import how_to_go_on
from joblot.cli.printable import say_json
from joblot.shown import counted
from joblot.states import TERMINAL, ItemState, JobStatus

State = StrEnum("State", [(state.name, state.name.lower()) for state in ItemState])  # type: ignore[misc]


def jobs(
    *,
    project: Annotated[str | None, typer.Option("--project", help="Only of this project.")] = None,
    status: Annotated[
        JobStatus | None, typer.Option("--status", help="Only in this status.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="JOB", max=ID_MAX, help="Only older jobs: the next page."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """List jobs, the newest first."""
    open_database(db)
    page = verbs.jobs(project=project, status=status, before=before, limit=limit)
    say_json(page) if as_json else text.jobs(page)


def show(job: JobId, *, as_json: AsJson = False, db: Db = None) -> None:
    """Show a job: its status, the counts of its stages, and why items failed."""
    open_database(db)
    state = verbs.progress(job)
    if as_json:
        say_json(state)
        return
    text.job(state)
    failures.brief(state, text.out())


def watch(
    job: JobId,
    *,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to poll.")
    ] = 1.0,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Watch a job until it ends; with --json, print one line per change. Exits as `run` does."""
    open_database(db)
    state = _watch_as_json(job, every) if as_json else _watch(job, every)
    raise typer.Exit(exit_code_of(state["status"]))


def _watch(job: int, every: float) -> dict[str, Any]:
    with ProgressDisplay(text.err()) as display:
        while True:
            state = verbs.progress(job)
            display.update(state)
            if state["status"] in TERMINAL:
                break
            time.sleep(every)
    text.job(state)
    return state


def _watch_as_json(job: int, every: float) -> dict[str, Any]:
    printed: dict[str, Any] | None = None
    while True:
        state = verbs.progress(job)
        news = {**state, "eta": None, "as_of": None}
        if news != printed:
            say_json(state, indent=None)
            printed = news
        if state["status"] in TERMINAL:
            return state
        time.sleep(every)


def why(job: JobId, *, as_json: AsJson = False, db: Db = None) -> None:
    """Show what a job's open items wait for, and why others failed."""
    open_database(db)
    answer = verbs.why(job)
    if as_json:
        say_json(answer)
        return
    text.reasons(answer)
    failures.brief(verbs.progress(job), text.out())
    if command := how_to_go_on(verbs.read_job(job)):
        text.out().print(f"if its `joblot run` has ended, continue with: {command}", soft_wrap=True)


def causes(
    job: JobId,
    *,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only what failed in this stage.")
    ] = None,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="With the traceback of each cause.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Causes to list.")] = 20,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Show why items failed or were lost, by cause; failures that differ in details have one."""
    open_database(db)
    answer = verbs.causes(job, stage=stage, limit=limit)
    if as_json:
        say_json(answer)
        return
    failures.paragraphs(job, answer, text.out(), with_traceback=traceback)
    if answer["other"]:
        text.err().print(f"{counted(answer['other'], 'item')} failed for other causes: --limit")


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
    after: After = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """List items by number, with the causes of failures."""
    open_database(db)
    begin = -1 if after is None else after
    wanted = {"state": state.value if state else None, "stage": stage, "cause": cause}
    page, following = _items(job, wanted, begin, limit)
    if as_json:
        say_json(page)
        return
    text.items(page)
    if following is not None:
        text.err().print(f"the next page: --after {following}")


def _items(
    job: int, wanted: dict[str, Any], after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` items, and where the rest begins; the ledger reads them in short pages."""
    found: list[dict[str, Any]] = []
    following: int | None = after
    while following is not None and len(found) < limit:
        page = verbs.items(job, **wanted, after=following, limit=limit - len(found))
        found += page
        following = page.next
    return found, following


def logs(
    job: JobId, *, after: After = None, limit: Limit = 100, as_json: AsJson = False, db: Db = None
) -> None:
    """Print a job's log, oldest first."""
    open_database(db)
    page = verbs.logs(job, after=after or 0, limit=limit)
    say_json(page) if as_json else text.logs(page)

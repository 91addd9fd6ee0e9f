"""`joblot watch`: a job's progress until it ends."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.display import progress_display
from joblot.cli.exits import exit_code_of
from joblot.cli.ledger import Ledger, open_ledger
from joblot.cli.options import AsJson, Db, JobId, Url
from joblot.cli.printable import say_json
from joblot.states import TERMINAL


def watch(
    job: JobId,
    *,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to poll.")
    ] = 1.0,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Watch a job until it ends; with --json, print one line per change. Exits as `run` does."""
    with open_ledger(db, url) as ledger:
        state = _watch_as_json(ledger, job, every) if as_json else _watch(ledger, job, every)
    raise typer.Exit(exit_code_of(state["status"]))


def _watch(ledger: Ledger, job: int, every: float) -> dict[str, Any]:
    with progress_display() as display:
        while True:
            state = ledger.progress(job)
            display.update(state)
            if state["status"] in TERMINAL:
                break
            time.sleep(every)
    text.job(state)
    return state


def _watch_as_json(ledger: Ledger, job: int, every: float) -> dict[str, Any]:
    printed: dict[str, Any] | None = None
    while True:
        state = ledger.progress(job)
        news = {**state, "eta": None, "as_of": None}
        if news != printed:
            say_json(state, indent=None)
            printed = news
        if state["status"] in TERMINAL:
            return state
        time.sleep(every)

"""`joblot watch`: a job's progress until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.display import progress_display
from joblot.cli.exits import exit_code_of
from joblot.cli.ledger import Row, open_ledger
from joblot.cli.options import AsJson, Db, JobId, Url
from joblot.cli.outages import OutageRetry
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
    retrying = OutageRetry(every)
    with open_ledger(db, url) as ledger:
        read = partial(retrying, partial(ledger.progress, job))
        state = _watch_as_json(read, every) if as_json else _watch(read, every)
    raise typer.Exit(exit_code_of(state["status"]))


def _watch(read: Callable[[], Row], every: float) -> Row:
    with progress_display() as display:
        while True:
            state = read()
            display.update(state)
            if state["status"] in TERMINAL:
                break
            time.sleep(every)
    text.job(state)
    return state


def _watch_as_json(read: Callable[[], Row], every: float) -> Row:
    printed: Row | None = None
    while True:
        state = read()
        news = {**state, "eta": None, "as_of": None}
        if news != printed:
            say_json(state, indent=None)
            printed = news
        if state["status"] in TERMINAL:
            return state
        time.sleep(every)

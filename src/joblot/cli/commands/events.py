"""`joblot events`: what happened to a job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.ledger import Ledger, open_ledger
from joblot.cli.options import After, AsJson, Db, JobId, Limit, Url
from joblot.cli.outages import OutageRetry
from joblot.cli.printable import say_json

FOLLOW_SECONDS = 1.0
PAGE_EVENTS = 1_000


def events(
    job: JobId,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print further events as they happen.")
    ] = False,
    after: After = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Print a job's events, oldest first; with --follow, until Ctrl-C (--json: one per line)."""
    with open_ledger(db, url) as ledger:
        if not follow:
            page = ledger.events(job, after=after or 0, limit=limit)
            say_json(page) if as_json else text.events(page)
            return
        for news in _following(ledger, job, after or 0):
            _print_each(news) if as_json else text.events(news)


def _print_each(news: Sequence[dict[str, Any]]) -> None:
    for event in news:
        say_json(event, indent=None)


def _following(ledger: Ledger, job: int, after: int) -> Iterator[Sequence[dict[str, Any]]]:
    """All events from there on, without end."""
    retrying = OutageRetry(FOLLOW_SECONDS)
    while True:
        page = retrying(partial(ledger.events, job, after=after, limit=PAGE_EVENTS))
        if page:
            after = page[-1]["id"]
            yield page
        if len(page) < PAGE_EVENTS:
            time.sleep(FOLLOW_SECONDS)

"""`certify`: a storm on your own database and machine, and every count against truth."""

from __future__ import annotations

import json
import signal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.database import describe, make_database
from joblot.cli.exits import DONE, ENDED_BADLY
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say_page

INTERRUPTED = 130


def certify(
    *,
    items: Annotated[int, typer.Option("--items", help="How many items.")] = 2_000,
    workers: Annotated[int, typer.Option("--workers", help="Processes at once.")] = 4,
    kills: Annotated[
        int, typer.Option("--kills", help="How many of them end with SIGKILL; each is replaced.")
    ] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of all that chance decides.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the page here, too; as JSON to *.json."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the job, to look at it.")] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Let a storm go over a job of its own in your database; exit code 1 if a number is wrong.

    Duplicates, results out of order, workers that are killed. No other job is touched.
    """
    make_database(db)
    for number in (signal.SIGINT, signal.SIGTERM):  # the same, also where a shell ignores the first
        signal.signal(number, signal.default_int_handler)
    testing: Any = import_module("joblot.testing.certify")
    plan = testing.Plan(items=items, workers=workers, kills=kills, seed=seed)
    text.err().print(f"{describe()}: {items:,} items, {workers} workers, {kills} kills")
    setup = {} if db is None else {"path": str(db.absolute())}
    try:
        found = testing.certify(plan, setup=setup, keep=keep, say=text.err().print)
    except KeyboardInterrupt:
        text.err().print("interrupted; the workers have ended, the job is removed")
        raise typer.Exit(INTERRUPTED) from None
    say_page(_page(found, as_json=as_json))
    if out is not None:
        out.write_text(f"{_page(found, as_json=out.suffix == '.json')}\n", encoding="utf-8")
    raise typer.Exit(DONE if found.ok else ENDED_BADLY)


def _page(found: Any, *, as_json: bool) -> str:
    return json.dumps(found.as_json(), indent=2) if as_json else str(found.as_markdown())

"""`certify`: run a storm on your own database and machine, and check every count."""

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
    items: Annotated[int, typer.Option("--items", help="The number of items.")] = 2_000,
    workers: Annotated[int, typer.Option("--workers", help="The number of processes.")] = 4,
    kills: Annotated[
        int,
        typer.Option("--kills", help="How many workers to kill with SIGKILL; each is replaced."),
    ] = 5,
    seed: Annotated[int, typer.Option("--seed", help="The seed of all random choices.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Also write the report to FILE; as JSON if *.json."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the job, to inspect it.")] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Run a job under faults in your database; exit code 1 if a number is wrong.

    The faults: duplicates, results out of order, killed workers. No other job is touched.
    """
    make_database(db)
    for number in (signal.SIGINT, signal.SIGTERM):  # alike, even where a shell ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    testing: Any = import_module("joblot.testing.certify")
    plan = testing.Plan(items=items, workers=workers, kills=kills, seed=seed)
    text.err().print(f"{describe()}: {items:,} items, {workers} workers, {kills} kills")
    setup = {} if db is None else {"path": str(db.absolute())}
    try:
        found = testing.certify(plan, setup=setup, keep=keep, say=text.err().print)
    except KeyboardInterrupt:
        text.err().print("interrupted; the workers have ended and the job was removed")
        raise typer.Exit(INTERRUPTED) from None
    say_page(_page(found, as_json=as_json))
    if out is not None:
        out.write_text(f"{_page(found, as_json=out.suffix == '.json')}\n", encoding="utf-8")
    raise typer.Exit(DONE if found.ok else ENDED_BADLY)


def _page(found: Any, *, as_json: bool) -> str:
    return json.dumps(found.as_json(), indent=2) if as_json else str(found.as_markdown())

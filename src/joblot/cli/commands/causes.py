"""`joblot causes`: why items failed, by cause."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import failures, text
from joblot.cli.ledger import open_ledger
from joblot.cli.options import AsJson, Db, JobId, Url
from joblot.cli.printable import say_json
from joblot.shown import counted


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
    url: Url = None,
) -> None:
    """Show why items failed or were lost, by cause; failures that differ in details have one."""
    with open_ledger(db, url) as ledger:
        answer = ledger.causes(job, stage=stage, limit=limit)
    if as_json:
        say_json(answer)
        return
    failures.paragraphs(job, answer, text.out(), with_traceback=traceback)
    if answer["other"]:
        text.err().print(f"{counted(answer['other'], 'item')} failed for other causes: --limit")

"""`joblot submit`: create a job for workers that run elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.bad_entries import refusing, skipping
from joblot.cli.ledger import open_ledger
from joblot.cli.options import (
    Db,
    JsonLines,
    Lines,
    Null,
    Policies,
    SkipBad,
    Url,
    json_of,
    policy_of,
)
from joblot.cli.printable import say
from joblot.cli.source import Source
from joblot.errors import InvalidInput
from joblot.words import status_word

Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", metavar="NAME=PIPELINE", help="A stage; repeat for each, in order."),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="TEXT", help="Idempotency key: repeating it finds the same job."),
]


def submit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The job's name.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEMS…]", help="Files and globs.", show_default=False),
    ] = None,
    *,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="The pipeline of a single stage.")
    ] = None,
    stage: Stages = None,
    lines: Lines = None,
    jsonl: JsonLines = None,
    null: Null = False,
    skip_bad: SkipBad = False,
    project: Annotated[
        str | None, typer.Option("--project", help="The job's project (default).")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher is served first (0).")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="Settings passed to the workers.")
    ] = None,
    policy: Policies = None,
    key: Key = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start the job yet.")] = False,
    stay_open: Annotated[
        bool, typer.Option("--open", help="Leave the job open for more items.")
    ] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Create a job for workers to claim. Prints its number."""
    source = Source.of(list(files or ()), lines, jsonl, null=null, skip_bad=skip_bad)
    source.check(needed=False)
    asked = {
        "name": name,
        "pipeline": pipeline,
        "stages": _stages(stage),
        "project": project,
        "priority": priority,
        "config": None if config is None else json_of(config, "--config"),
        "policy": policy_of(policy),
        "start": not hold,
        "seal": not stay_open,
        "idempotency_key": key,
    }
    with open_ledger(db, url, create=True) as ledger:
        job = ledger.submit(
            (skipping if skip_bad else refusing)(source.entries()) if source.given else None,
            **asked,
        )
    text.err().print(f"job {job['id']}: {status_word(job['status'])}, {job['total']:,} items")
    say(str(job["id"]))


def _stages(given: list[str] | None) -> list[dict[str, str]] | None:
    if not given:
        return None
    stages = []
    for pair in given:
        name, equals, pipeline = pair.partition("=")
        if not equals:
            raise InvalidInput(f"--stage: expected NAME=PIPELINE, got {pair!r}")
        stages.append({"name": name, "pipeline": pipeline})
    return stages

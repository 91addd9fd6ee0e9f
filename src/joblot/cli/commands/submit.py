"""`joblot submit`: create a job for workers that run elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.database import make_database
from joblot.cli.options import Db, JsonLines, Lines, Policies, json_of, policy_of
from joblot.cli.printable import say
from joblot.cli.source import Source
from joblot.errors import InvalidInput


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
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage", metavar="NAME=PIPELINE", help="A stage; repeat for each, in order."
        ),
    ] = None,
    lines: Lines = None,
    jsonl: JsonLines = None,
    project: Annotated[str, typer.Option("--project", help="The job's project.")] = "default",
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher is served first (0).")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="Settings passed to the workers.")
    ] = None,
    policy: Policies = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="TEXT", help="Idempotency key: repeating it finds the same job."
        ),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start the job yet.")] = False,
    stay_open: Annotated[
        bool, typer.Option("--open", help="Leave the job open for more items.")
    ] = False,
    db: Db = None,
) -> None:
    """Create a job for workers to claim. Prints its number."""
    source = Source(list(files or ()), lines, jsonl)
    source.check(needed=False)
    settings = policy_of(policy)
    job_config = None if config is None else json_of(config, "--config")
    stages = _stages(stage)
    make_database(db)
    job = verbs.submit(
        name,
        source.items() if source.given else None,
        pipeline=pipeline,
        stages=stages,
        project=project,
        priority=priority,
        config=job_config,
        policy=settings,
        start=not hold,
        seal=not stay_open,
        idempotency_key=key,
    )
    text.err().print(f"job {job.pk}: {job.status}, {job.total:,} items")
    say(str(job.pk))


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

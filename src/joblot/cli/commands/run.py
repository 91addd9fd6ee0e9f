"""`joblot run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from joblot.cli import failures, text, verbs
from joblot.cli.database import make_database, open_database
from joblot.cli.exits import exit_code_of
from joblot.cli.options import (
    Db,
    JsonLines,
    Lines,
    Null,
    Policies,
    SkipBad,
    existing_id,
    policy_of,
)
from joblot.cli.plan import Plan, begin, reawaken, require_resumable
from joblot.cli.printable import json_text
from joblot.cli.run import Run, workers_default
from joblot.cli.source import STDIN, Source
from joblot.errors import InvalidInput, Unavailable
from joblot.log_format import log_to_stderr
from joblot.shown import counted
from joblot.states import TERMINAL
from joblot.words import status_word

BATCH_MAX = 1000


Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FUNC ITEMS…",
        help="module:function, then files and globs. With --resume, only items.",
        show_default=False,
    ),
]
Batch = Annotated[
    int,
    typer.Option(
        "--batch",
        metavar="N",
        min=0,
        max=BATCH_MAX,
        help="The function takes lists of up to N (default: one item at a time).",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, max=512, help="Processes (default: one per core)."
    ),
]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="FILE", help="Write outputs as JSON lines; - is stdout."),
]
Name = Annotated[str | None, typer.Option("--name", help="The job's name (default: FUNC).")]
Resume = Annotated[
    int | None,
    typer.Option(
        "--resume",
        metavar="JOB",
        callback=existing_id,
        help="Continue with a job's remaining items.",
    ),
]
ItemSecondsMax = Annotated[
    float,
    typer.Option(
        "--item-seconds-max",
        min=0.1,
        help="A call that takes longer counts as frozen; its worker is replaced.",
    ),
]


def run(
    arguments: Arguments = None,
    *,
    lines: Lines = None,
    jsonl: JsonLines = None,
    null: Null = False,
    skip_bad: SkipBad = False,
    batch: Batch = 0,
    workers: Workers = None,
    out: Out = None,
    name: Name = None,
    resume: Resume = None,
    item_seconds_max: ItemSecondsMax = 3600.0,
    policy: Policies = None,
    db: Db = None,
) -> None:
    """Call a function for many items, on several processes, durably.

    After Ctrl-C, a crash or a power cut, `joblot run --resume JOB` continues with the rest.
    """
    given = list(arguments or ())
    function = None if resume is not None else _function(given)
    source = Source(given, lines, jsonl, null, skip_bad)
    source.check(needed=resume is None)
    _check_out(out)
    settings = policy_of(policy)
    log_to_stderr("joblot run")
    make_database(db) if resume is None else open_database(db)
    if function is None:
        assert resume is not None
        plan = require_resumable(resume, source)
    else:
        plan = Plan(function, batch, str(Path.cwd()), item_seconds_max)
    one = Run(plan, workers or workers_default(), str(db) if db else None)
    if resume is not None and verbs.read_job(resume).status in TERMINAL:
        state = verbs.progress(resume)
    else:
        state = _work(one, resume, source, name, settings)
    raise typer.Exit(_end(one, state, out, source))


def _function(given: list[str]) -> str:
    if not given:
        raise InvalidInput(
            "expected FUNC, as module:function, and its items; see joblot run --help"
        )
    return given.pop(0)


def _work(
    one: Run, resume: int | None, source: Source, name: str | None, settings: dict[str, Any]
) -> dict[str, Any]:
    one.prepare()
    if resume is None:
        job_id = begin(one.plan, name=name, policy=settings)
    else:
        job_id = resume
        reawaken(job_id)
    text.err().print(f"job {job_id}: {one.plan.function} on {counted(one.workers, 'worker')}")
    return one.work(job_id, source if source.given else None)


def _end(one: Run, state: dict[str, Any], out: str | None, source: Source) -> int:
    """Print how the run ended; returns the exit code."""
    text.err().print(
        f"job {state['id']}: {status_word(state['status'])}, {text.progress_line(state)}"
    )
    failures.brief(verbs.summary(state["id"]), text.err())
    if state["status"] in TERMINAL:
        if out is not None:
            _write_outputs(state["id"], out)
        return exit_code_of(state["status"])
    _print_how_to_continue(state, source)
    if one.error is not None:
        raise one.error
    return 128 + one.interrupted


def _print_how_to_continue(state: dict[str, Any], source: Source) -> None:
    command = f"joblot run --resume {state['id']}"
    if state["sealed"]:
        text.err().print(f"continue with: {command}", soft_wrap=True)
        return
    text.err().print(
        f"continue with: {command} {source.arguments()} (not all items were submitted: give the "
        f"same ones again, those it has are skipped), or delete it: joblot delete {state['id']}",
        soft_wrap=True,
    )


def _check_out(out: str | None) -> None:
    if out is None or out == STDIN:
        return
    folder = Path(out).absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(out).is_dir():
        raise InvalidInput(f"--out: {out} can't be written; name a file in a writable folder")


def _write_outputs(job_id: int, out: str) -> None:
    """Write the file atomically: an earlier one stays until the new one is complete."""
    try:
        with _opened(out) as file:
            for key, output in verbs.outputs(job_id):
                file.write(json_text({"key": key, "output": output}) + "\n")
    except OSError as error:
        raise Unavailable(
            f"--out: {out} could not be written: {error.strerror or error}; the outputs are kept: "
            f"joblot run --resume {job_id} --out FILE writes them again"
        ) from error


@contextmanager
def _opened(out: str) -> Iterator[IO[str]]:
    if out == STDIN:
        yield sys.stdout
        sys.stdout.flush()
        return
    part = Path(f"{out}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)

"""`joblot run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from joblot.cli import failures, text, verbs
from joblot.cli import out as out_file
from joblot.cli.cores import cores
from joblot.cli.database import make_database, open_database
from joblot.cli.exits import ENDED_BADLY, exit_code_of
from joblot.cli.halting import HaltAfter, halting_of
from joblot.cli.options import (
    Db,
    JsonLines,
    Lines,
    NoRetryOn,
    Null,
    Policies,
    RetryOn,
    SkipBad,
    existing_id,
    policy_of,
)
from joblot.cli.plan import Plan, begin, reawaken, require_resumable
from joblot.cli.run import Run
from joblot.cli.source import Source
from joblot.errors import InvalidInput
from joblot.log_format import log_to_stderr
from joblot.operator_name import operator
from joblot.shown import counted
from joblot.states import AMENDABLE, TERMINAL
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
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="With --resume: also try what failed again."),
]
ItemSecondsMax = Annotated[
    float,
    typer.Option(
        "--item-seconds-max",
        min=0.1,
        help="A call that takes longer counts as frozen; its worker is replaced.",
    ),
]


Chdir = Annotated[
    Path | None,
    typer.Option(
        "--chdir",
        metavar="DIR",
        help="The folder to work in (default: this one; with --resume, that of the run).",
        show_default=False,
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
    retry_failed: RetryFailed = False,
    item_seconds_max: ItemSecondsMax = 3600.0,
    chdir: Chdir = None,
    retry_on: RetryOn = None,
    no_retry_on: NoRetryOn = None,
    halt_after: HaltAfter = None,
    policy: Policies = None,
    db: Db = None,
) -> None:
    """Call a function for many items, on several processes, durably.

    After Ctrl-C, a crash or a power cut, `joblot run --resume JOB` continues with the rest.
    """
    given = list(arguments or ())
    function = "" if resume is not None else _function(given)
    source = Source(given, lines, jsonl, null, skip_bad)
    source.check(needed=resume is None)
    out_file.check(out)
    settings = policy_of(policy) | halting_of(halt_after)
    log_to_stderr("joblot run")
    make_database(db) if resume is None else open_database(db)
    if resume is None:
        never = no_retry_on or ()
        plan = Plan(function, batch, str(Path.cwd()), item_seconds_max, retry_on or (), never)
    else:
        plan = require_resumable(resume, source)
    usual = cores()
    one = Run(plan.within(chdir), workers or usual.count, str(db) if db else None)
    if retry_failed and resume is None:
        raise InvalidInput("--retry-failed: expected with --resume JOB")
    if resume is not None and not retry_failed and verbs.read_job(resume).status in TERMINAL:
        state = verbs.progress(resume)
    else:
        job_id = _begun(one, resume, name, settings, retry_failed=retry_failed)
        _say_that_it_begins(one, job_id, "" if workers else usual.why)
        state = one.work(job_id, source if source.given else None)
    raise typer.Exit(_end(one, state, out, source))


def _function(given: list[str]) -> str:
    if not given:
        raise InvalidInput(
            "expected FUNC, as module:function, and its items; see joblot run --help"
        )
    return given.pop(0)


def _begun(
    one: Run, resume: int | None, name: str | None, settings: dict[str, Any], *, retry_failed: bool
) -> int:
    """Start the workers; then make the job, or continue it."""
    one.prepare()
    if resume is None:
        return begin(one.plan, name=name, policy=settings)
    if settings:
        verbs.edit(resume, policy=settings, actor=operator())
    if retry_failed:
        verbs.retry(resume, failed=True, actor=operator())
    _say_what_is_held(reawaken(resume))
    return resume


def _say_that_it_begins(one: Run, job_id: int, why: str) -> None:
    """`why` says what has limited the number of workers."""
    workers = counted(one.workers, "worker") + (f" ({why})" if why else "")
    text.err().print(f"job {job_id}: {one.plan.function} on {workers}", soft_wrap=True)


def _say_what_is_held(leases: Sequence[dict[str, Any]]) -> None:
    """By workers that may be alive: on another machine, or on this one under another name."""
    for lease in leases:
        text.err().print(
            f"{counted(lease['items'], 'item')} may be in progress on {lease['worker']}, until "
            f"{lease['expires_at'][:19]} UTC; if it is gone: joblot expire {lease['token']}",
            soft_wrap=True,
        )


def _end(one: Run, state: dict[str, Any], out: str | None, source: Source) -> int:
    """Print how the run ended; returns the exit code."""
    text.err().print(
        f"job {state['id']}: {status_word(state['status'])}, {text.progress_line(state)}"
    )
    failures.brief(verbs.summary(state["id"]), text.err())
    if state["status"] in TERMINAL:
        if out is not None:
            out_file.write(state["id"], out)
        if state["status"] in AMENDABLE:
            again = f"joblot run --resume {state['id']} --retry-failed"
            text.err().print(f"try what failed again with: {again}", soft_wrap=True)
        return exit_code_of(state["status"])
    if one.halted:
        text.err().print(f"halted: {one.halted}", soft_wrap=True)
    _print_how_to_continue(state, source)
    if one.error is not None:
        raise one.error
    return ENDED_BADLY if one.halted else 128 + one.interrupted


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

"""`joblot run`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from joblot.cli import closing, text, verbs
from joblot.cli.cores import cores
from joblot.cli.database import make_database, open_database
from joblot.cli.exits import ENDED_BADLY, exit_code_of
from joblot.cli.halting import HaltAfter, halting_of
from joblot.cli.options import (
    Db,
    Exec,
    JsonLines,
    KeepOutput,
    Lines,
    NoRetryOn,
    Null,
    Policies,
    RecycleItems,
    RecycleMb,
    RetryOn,
    SkipBad,
    existing_id,
    policy_of,
)
from joblot.cli.plan import Plan, begin
from joblot.cli.records.records import Records
from joblot.cli.resumption import CHOSEN, KEPT, reawaken, resumed_plan, without_function
from joblot.cli.run import Run
from joblot.cli.source import Source
from joblot.errors import InvalidInput, NotFound
from joblot.log_format import log_to_stderr
from joblot.operator_name import operator
from joblot.shown import counted
from joblot.states import RETRYABLE, TERMINAL
from joblot.worker.printed import Keep

BATCH_MAX = 1000


Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FUNC ITEMS…",
        help="module:function, then files and globs, or ::: and words. With --exec or --resume, "
        "only these.",
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
    typer.Option(
        "--out", metavar="FILE", help="Write outputs, as they come, as JSON lines; - is stdout."
    ),
]
Joblog = Annotated[
    str | None,
    typer.Option(
        "--joblog",
        metavar="FILE",
        help="Write how each item ended, as it ends, to FILE.csv or FILE.jsonl.",
    ),
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
    context: typer.Context,
    arguments: Arguments = None,
    *,
    command: Exec = None,
    lines: Lines = None,
    jsonl: JsonLines = None,
    null: Null = False,
    skip_bad: SkipBad = False,
    batch: Batch = 0,
    workers: Workers = None,
    out: Out = None,
    joblog: Joblog = None,
    name: Name = None,
    resume: Resume = None,
    retry_failed: RetryFailed = False,
    item_seconds_max: ItemSecondsMax = 3600.0,
    chdir: Chdir = None,
    retry_on: RetryOn = None,
    no_retry_on: NoRetryOn = None,
    halt_after: HaltAfter = None,
    recycle_items: RecycleItems = 0,
    recycle_mb: RecycleMb = 0,
    keep_output: KeepOutput = Keep.FAILED,
    policy: Policies = None,
    db: Db = None,
) -> None:
    """Call a function for many items, on several processes, durably.

    After Ctrl-C, a crash or a power cut, `joblot run --resume JOB` continues with the rest.
    """
    is_new = resume is None
    _check_options(command, batch, resume, retry=retry_failed)
    given = _arguments(arguments, resume, db)
    function = _function(given) if is_new and command is None else ""
    source = Source.of(given, lines, jsonl, null=null, skip_bad=skip_bad)
    source.check(needed=is_new)
    records = Records(out, joblog)
    records.check(resume)
    settings = policy_of(policy) | halting_of(halt_after)
    log_to_stderr("joblot run")
    if resume is None:
        make_database(db)
        on, never = retry_on or (), no_retry_on or ()
        limits = item_seconds_max, on, never, command or "", recycle_items, recycle_mb
        plan = Plan(function, batch, str(Path.cwd()), *limits, keep_output.value)
    else:
        plan = resumed_plan(resume, source, _given(context), retry=retry_failed)
    usual = cores()
    one = Run(plan.within(chdir), workers or usual.count, str(db) if db else None, records)
    if resume is not None and not _continues(resume, retry=retry_failed):
        _edit(resume, settings)
        state = verbs.progress(resume)
        records.start(resume, lambda _: None, resumed=True, ended=True)
    else:
        one.prepare()
        job = _begun(one, resume, name, settings, retry=retry_failed)
        _say_that_it_begins(one, job, "" if workers else usual.why)
        state = one.work(job, source if source.given else None, resumed=not is_new)
    raise typer.Exit(_end(one, state, source))


def _arguments(arguments: list[str] | None, resume: int | None, db: Path | None) -> list[str]:
    """Those given; of a resumed job, whose database is opened, without its function."""
    if resume is None:
        return list(arguments or ())
    open_database(db)
    return without_function(resume, arguments or ())


def _function(given: list[str]) -> str:
    if not given:
        raise InvalidInput(
            "expected FUNC, as module:function, and its items; see joblot run --help"
        )
    return given.pop(0)


def _given(context: typer.Context) -> dict[str, Any]:
    """The options on the command line that a resumed job may have already."""
    names = [*KEPT, *CHOSEN, "name"]
    sources = {name: context.get_parameter_source(name) for name in names}
    return {
        name: context.params[name]
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    }


def _check_options(command: str | None, batch: int, resume: int | None, *, retry: bool) -> None:
    if retry and resume is None:
        raise InvalidInput("--retry-failed: expected --resume JOB, whose items are to be repeated")
    if command is not None and batch:
        raise InvalidInput("--batch: a command takes one item at a time; leave it out")


def _continues(job: int, *, retry: bool) -> bool:
    """False if the job has ended, and there is nothing to repeat, or nobody asked for it."""
    status = verbs.read_job(job).status
    return status not in TERMINAL or (retry and status in RETRYABLE)


def _begun(
    one: Run, resume: int | None, name: str | None, settings: dict[str, Any], *, retry: bool
) -> int:
    """Make the job, or continue it; a new run of it begins if it has ended."""
    if resume is None:
        return begin(one.plan, name=name, policy=settings)
    _edit(resume, settings)
    if verbs.read_job(resume).status in RETRYABLE:
        verbs.retry(resume, actor=operator())
    elif retry:
        with suppress(NotFound):  # nothing has failed since they were last repeated
            verbs.retry(resume, failed=True, actor=operator())
    _say_what_is_held(reawaken(resume))
    return resume


def _edit(job: int, settings: dict[str, Any]) -> None:
    """Change the job's policy by these settings; an ended job uses them in its next run."""
    if settings:
        verbs.edit(job, policy=settings, actor=operator())


def _say_that_it_begins(one: Run, job_id: int, why: str) -> None:
    """`why` says what has limited the number of workers."""
    workers = counted(one.workers, "worker") + (f" ({why})" if why else "")
    text.err().print(f"job {job_id}: {one.plan.work} on {workers}", soft_wrap=True)


def _say_what_is_held(leases: Sequence[dict[str, Any]]) -> None:
    """By workers that may be alive: on another machine, or on this one under another name."""
    for lease in leases:
        text.err().print(
            f"{counted(lease['items'], 'item')} may be in progress on {lease['worker']}, until "
            f"{lease['expires_at'][:19]} UTC; if it is gone: joblot expire {lease['token']}",
            soft_wrap=True,
        )


def _end(one: Run, state: dict[str, Any], source: Source) -> int:
    """Complete the run's files, and print how it ended; returns the exit code."""
    finished = state["status"] in TERMINAL
    try:
        one.records.end(state["id"], finished=finished)
    except BaseException:
        closing.say(one, state, source)
        if one.error is not None and not finished:
            raise one.error from None
        raise
    closing.say(one, state, source)
    if finished:
        return exit_code_of(state["status"])
    if one.error is not None:
        raise one.error
    return ENDED_BADLY if one.halted else 128 + one.interrupted

"""What `joblot run` prints at its end: lines to paste, and the command that continues it."""

from __future__ import annotations

import shlex
from typing import Any

from joblot.cli import failures, text, verbs
from joblot.cli import out as out_file
from joblot.cli.run import Run
from joblot.cli.source import Source
from joblot.sentences import settled_of
from joblot.shown import counted
from joblot.states import RETRYABLE, TERMINAL
from joblot.words import status_word


def say(one: Run, state: dict[str, Any], source: Source) -> None:
    """How the job stands, failures by cause, the run's pace, its files, and how to go on."""
    job = state["id"]
    text.err().print(f"job {job}: {status_word(state['status'])}, {text.progress_line(state)}")
    failures.brief(verbs.summary(job), text.err())
    for line in (pace(one, state), files(one)):
        if line:
            text.err().print(line, soft_wrap=True)
    if one.halted:
        text.err().print(f"halted: {one.halted}", soft_wrap=True)
    if state["status"] not in TERMINAL:
        text.err().print(f"continue with: {how_to_continue(one, state, source)}", soft_wrap=True)
    elif state["status"] in RETRYABLE:
        text.err().print(f"repeat what failed: {how_to_repeat(one, job)}", soft_wrap=True)


def pace(one: Run, state: dict[str, Any]) -> str:
    """`1,200 items in 34.5 s, 34.8 items/s, on 8 workers`; "" if this run has done nothing."""
    if one.seconds <= 0:
        return ""
    settled = sum(map(settled_of, state["stages"])) - one.settled_before
    rate = settled / one.seconds
    return (
        f"{counted(settled, 'item')} in {one.seconds:,.1f} s, {rate:,.1f} items/s, "
        f"on {counted(one.workers, 'worker')}"
    )


def files(one: Run) -> str:
    named = {"outputs": one.records.out, "joblog": one.records.joblog}
    shown = [f"{what}: {name}" for what, name in named.items() if name not in (None, "-")]
    return ", ".join(shown)


def how_to_continue(one: Run, state: dict[str, Any], source: Source) -> str:
    command = _command(one, state["id"])
    if state["sealed"]:
        return command
    return (
        f"{command} {source.arguments()} (not all items were submitted: give the same ones again, "
        f"those it has are skipped), or delete it: joblot delete {state['id']}"
    )


def how_to_repeat(one: Run, job: int) -> str:
    return f"{_command(one, job, '--retry-failed')} (it is joblot retry {job}, and resumes the job)"


def _command(one: Run, job: int, *more: str) -> str:
    """With the same files and database."""
    out = one.records.out if one.records.out != out_file.STDOUT else None
    options = {"--out": out, "--joblog": one.records.joblog, "--db": one.db}
    given = [word for name, value in options.items() if value is not None for word in (name, value)]
    return shlex.join(["joblot", "run", "--resume", str(job), *more, *given])

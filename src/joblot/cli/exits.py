"""How the command line ends: exit codes, and an error as one line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from typer.core import TyperGroup

from joblot.cli.printable import say_aside
from joblot.errors import InvalidInput, JoblotError, Refused, Unavailable
from joblot.states import JobStatus

DONE, ENDED_BADLY, USAGE, REFUSED, UNAVAILABLE = range(5)
NOBODY_READS = 128 + signal.SIGPIPE  # `joblot items 7 | head`: as a shell has it of other commands

_CODES: Mapping[type[Exception], int] = {
    BrokenPipeError: NOBODY_READS,
    InvalidInput: USAGE,
    Refused: REFUSED,
    Unavailable: UNAVAILABLE,
    OSError: UNAVAILABLE,
}
DEBUG = "JOBLOT_DEBUG"


class Commands(TyperGroup):
    """A group of commands whose errors are one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return _flushed(lambda: super(Commands, self).invoke(ctx))
        except KeyboardInterrupt as error:
            _tell_notes(error)
            raise
        except Exception as error:
            if not (isinstance(error, JoblotError | OSError) or _is_of_database(error)):
                raise
            if not isinstance(error, BrokenPipeError):
                tell(error)
            ctx.exit(exit_code(error))


def _flushed(call: Callable[[], Any]) -> Any:
    """Write what a command has printed before it ends, however it ends. Raises OSError."""
    try:
        try:
            return call()
        finally:
            sys.stdout.flush()
    except OSError:
        _drop_unwritten()
        raise


def exit_code(error: Exception) -> int:
    if _is_of_database(error):
        return UNAVAILABLE
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ENDED_BADLY)


def _is_of_database(error: Exception) -> bool:
    """Of Django's or of a driver's, without importing them: who raised this has imported them."""
    modules = (sys.modules.get(name) for name in ("django.db.utils", "psycopg", "sqlite3"))
    return isinstance(error, tuple(module.Error for module in modules if module is not None))


def exit_code_of(status: str) -> int:
    """0 for a job that succeeded or is still going on, 1 for one that ended otherwise."""
    ended_badly = (JobStatus.COMPLETED_WITH_ERRORS, JobStatus.FAILURE, JobStatus.REVOKED)
    return ENDED_BADLY if status in ended_badly else DONE


def tell(error: Exception) -> None:
    """`joblot: what happened and what to do`; with --debug, where.

    Of a database's error only the first line: below it are rows, with what is in them.
    """
    if os.environ.get(DEBUG):
        for line in "".join(traceback.format_exception(error)).splitlines():
            say_aside(line)
    said = str(error).strip()
    if _is_of_database(error):
        said = said.partition("\n")[0]
    line = " ".join(said.split()) or type(error).__name__
    what = "" if isinstance(error, JoblotError) else f"{type(error).__name__}: "
    say_aside(f"joblot: {what}{line}")
    _tell_notes(error)


def _tell_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        say_aside(note)


def _drop_unwritten() -> None:
    """What standard output does not take must not be tried again when the interpreter ends."""
    try:
        sys.stdout.flush()
        return
    except OSError:
        pass
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)

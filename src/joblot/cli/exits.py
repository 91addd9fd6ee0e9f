"""Exit codes, and errors printed as one line."""

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
NOBODY_READS = 128 + signal.SIGPIPE  # `joblot items 7 | head`: as for other commands in a shell

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
            _print_notes(error)
            raise
        except Exception as error:
            if not (isinstance(error, JoblotError | OSError) or _is_of_database(error)):
                raise
            if not isinstance(error, BrokenPipeError):
                print_error(error)
            ctx.exit(exit_code(error))


def _flushed(call: Callable[[], Any]) -> Any:
    """Call, then flush standard output, also after an error. Raises OSError."""
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
    """Django's or a driver's error. Imports neither: if one raised it, it is imported already."""
    modules = (sys.modules.get(name) for name in ("django.db.utils", "psycopg", "sqlite3"))
    return isinstance(error, tuple(module.Error for module in modules if module is not None))


def exit_code_of(status: str) -> int:
    """0 for a job that succeeded or has not ended, 1 for one that ended otherwise."""
    ended_badly = (JobStatus.COMPLETED_WITH_ERRORS, JobStatus.FAILURE, JobStatus.REVOKED)
    return ENDED_BADLY if status in ended_badly else DONE


def print_error(error: Exception) -> None:
    """Print `joblot: what happened and what to do`; with --debug, also the traceback.

    Prints only the first line of a database error: the others may show the contents of rows.
    """
    if os.environ.get(DEBUG):
        for line in "".join(traceback.format_exception(error)).splitlines():
            say_aside(line)
    message = str(error).strip()
    if _is_of_database(error):
        message = message.partition("\n")[0]
    line = " ".join(message.split()) or type(error).__name__
    what = "" if isinstance(error, JoblotError) else f"{type(error).__name__}: "
    say_aside(f"joblot: {what}{line}")
    _print_notes(error)


def _print_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        say_aside(note)


def _drop_unwritten() -> None:
    """Discard unwritable output, so that the interpreter does not flush it again at exit."""
    try:
        sys.stdout.flush()
        return
    except OSError:
        pass
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)

"""How the command line ends: exit codes, and an error as one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from typer.core import TyperGroup

from joblot.errors import InvalidInput, JoblotError, Refused, Unavailable
from joblot.states import JobStatus

DONE, ENDED_BADLY, USAGE, REFUSED, UNAVAILABLE = range(5)

_CODES: Mapping[type[Exception], int] = {
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
            return super().invoke(ctx)
        except Exception as error:
            if not (isinstance(error, JoblotError | OSError) or _is_of_database(error)):
                raise
            if isinstance(error, BrokenPipeError):
                _stop_writing()
            else:
                tell(error)
            ctx.exit(exit_code(error))


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
        traceback.print_exception(error)
    said = str(error).strip()
    if _is_of_database(error):
        said = said.partition("\n")[0]
    line = " ".join(said.split()) or type(error).__name__
    what = "" if isinstance(error, JoblotError) else f"{type(error).__name__}: "
    print(f"joblot: {what}{line}", file=sys.stderr)


def _stop_writing() -> None:
    """Nobody reads any longer (`joblot items 7 | head`): the interpreter must not flush again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""What may befall one call of a verb, and how it comes about.

*Cut*: the connection drops at one of its statements; the caller lives and is told `Unavailable`.
*Killed*: the caller's process ends at a statement or at a named fault point; what its transaction
has not committed is rolled back, and nobody catches anything any more. *Lost*: the verb has done
its work, and the answer does not arrive. *Away*: the database can't be reached at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import OperationalError

from joblot import faults
from joblot.ledger.db.transactions import connection


class Kind(StrEnum):
    NONE = "none"
    CUT = "cut"
    KILLED = "killed"
    LOST = "lost"
    AWAY = "away"


class Killed(BaseException):
    """The end of a process: no `except Exception` may hold it up."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`statement` is how many statements go through before it strikes; `point` a fault point."""

    kind: Kind = Kind.NONE
    statement: int = 0
    point: str | None = None

    def __str__(self) -> str:
        if self.kind in (Kind.NONE, Kind.LOST, Kind.AWAY):
            return self.kind.value
        return f"{self.kind.value} at {self.point or f'statement {self.statement + 1}'}"


CALM = Trouble()
AWAY = Trouble(Kind.AWAY)


@dataclass(slots=True)
class Struck:
    """Whether the trouble has struck yet."""

    yes: bool = field(default=False)


@contextmanager
def befalling(trouble: Trouble) -> Iterator[Struck]:
    """Inside the block, the trouble befalls the ledger's connection of this thread."""
    struck = Struck()
    with ExitStack() as stack:
        if trouble.point is not None:
            stack.enter_context(faults.armed(trouble.point, lambda: _die(struck)))
        elif trouble.kind in (Kind.CUT, Kind.KILLED, Kind.AWAY):
            stack.enter_context(connection().execute_wrapper(_striking(trouble, struck)))
        yield struck


def _die(struck: Struck) -> None:
    struck.yes = True
    raise Killed


def _striking(trouble: Trouble, struck: Struck) -> Callable[..., Any]:
    left = trouble.statement

    def strike(execute: Callable[..., Any], *statement: Any) -> Any:
        nonlocal left
        if left > 0:
            left -= 1
            return execute(*statement)
        struck.yes = True
        _drop_connection()
        if trouble.kind is Kind.KILLED:
            raise Killed
        raise OperationalError("the connection was dropped by the simulator")

    return strike


def _drop_connection() -> None:
    """As the database sees it: the transaction is rolled back.

    An SQLite file has no connection that could drop, and its cursors must not outlive theirs.
    """
    conn = connection()
    if conn.vendor == "sqlite":
        if conn.connection is not None:
            conn.connection.rollback()
    else:
        conn.close()

"""The faults that can strike one call of a verb, and how they are injected.

*Cut*: the connection drops at one of its statements; the caller survives and gets `Unavailable`.
*Killed*: the caller's process ends at a statement or at a named fault point; its uncommitted
transaction is rolled back, and no code of the caller runs any more. *Lost*: the verb did its work,
but the answer does not arrive. *Away*: the database can't be reached at all.
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
    """The end of a process; no `except Exception` catches it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`statement` is how many statements succeed before it strikes; `point` is a fault point."""

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
def injected(trouble: Trouble) -> Iterator[Struck]:
    """Inside the block, the trouble strikes the ledger's connection of this thread."""
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
    """Roll back the transaction, as the database would.

    On SQLite the connection stays open: cursors must not outlive their connection.
    """
    conn = connection()
    if conn.vendor == "sqlite":
        if conn.connection is not None:
            conn.connection.rollback()
    else:
        conn.close()

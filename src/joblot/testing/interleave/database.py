"""What the explorer requires of a database: to stop at each statement and report who waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.testing.interleave.statement import Statement

HOLD = "!"  # the letter for the lock that the explorer itself holds

Result = TypeVar("Result")


class Performer(Protocol):
    """An operation as the database sees it."""

    letter: str
    next: Statement | None
    in_transaction: bool
    backend_id: int | None  # the server process of its connection (PostgreSQL)
    holds_write_lock: bool  # the database's one write lock (SQLite)

    def perform(
        self, statement: Statement, call: Callable[[], Result], is_busy: Callable[[Exception], bool]
    ) -> Result:
        """Stop, then call. While that raises an error that `is_busy` accepts, stop and retry."""

    def step(self, statement: Statement, go_on: Callable[[], None]) -> None:
        """Stop inside the statement that is performed, before a part of it, then go on."""


class Database(Protocol):
    """One database (alias) and how its connections are watched."""

    alias: str
    one_writer: bool  # at most one transaction writes, and each reads from one snapshot

    def open(self, operation: Performer) -> BaseDatabaseWrapper:
        """Return an unconnected connection that runs all statements in `operation.perform`."""

    def is_open(self, raw: Any) -> bool: ...

    def in_transaction(self, raw: Any) -> bool: ...

    def would_wait(self, operation: Performer, others: Sequence[Performer]) -> set[str]:
        """Whom the next statement would wait for, if that is known without trying it (letters)."""

    def would_write(self, operation: Performer) -> bool:
        """True if the next statement would take the database's write lock."""

    def waits(
        self, running: Sequence[Performer], everybody: Sequence[Performer]
    ) -> dict[str, set[str]]:
        """Which running operations now wait inside a statement, and for whom (letters, HOLD)."""

    def wait_until_gone(self, operation: Performer) -> None:
        """Return once the locks of a killed operation are free."""

    def cut_off(self, operation: Performer) -> None:
        """End a statement that does not end on its own."""

    def hold(self, lock: str) -> bool:
        """Take a lock on the explorer's own connection; False if it is not free."""

    def release(self) -> None: ...

    def close(self) -> None: ...

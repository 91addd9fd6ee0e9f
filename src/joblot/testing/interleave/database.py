"""What the explorer asks of a database: to stop at each statement, and to tell who waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.testing.interleave.statement import Statement

HOLD = "!"  # the letter of the lock that the explorer holds itself

Result = TypeVar("Result")


class Performer(Protocol):
    """An operation, as its database sees it."""

    letter: str
    next: Statement | None
    in_transaction: bool
    backend_id: int | None  # the process that serves it now (PostgreSQL)
    holds_write_lock: bool  # the database's one write lock (SQLite)

    def perform(
        self, statement: Statement, call: Callable[[], Result], is_busy: Callable[[Exception], bool]
    ) -> Result:
        """Stop, then call. While that raises what `is_busy` knows, stop and call again."""


class Database(Protocol):
    """One database (alias) and the way its connections are watched."""

    alias: str
    one_writer: bool  # whoever writes is alone, and a transaction reads from one snapshot

    def open(self, operation: Performer) -> BaseDatabaseWrapper:
        """A connection whose statements all go through `operation.perform`. Not yet connected."""

    def is_open(self, raw: Any) -> bool: ...

    def in_transaction(self, raw: Any) -> bool: ...

    def would_wait(self, operation: Performer, others: Sequence[Performer]) -> set[str]:
        """Whose lock the next statement would meet, where trying it would change nothing."""

    def would_write(self, operation: Performer) -> bool:
        """True if the next statement would take the one write lock."""

    def waits(
        self, running: Sequence[Performer], everybody: Sequence[Performer]
    ) -> dict[str, set[str]]:
        """Which of the running wait inside a statement by now, and for whom (letters, HOLD)."""

    def wait_until_gone(self, operation: Performer) -> None:
        """Return when the locks of a killed operation are free."""

    def cut_off(self, operation: Performer) -> None:
        """End a statement that does not end by itself."""

    def hold(self, lock: str) -> bool:
        """Take a lock with a connection of the explorer's own; False if it is not free."""

    def release(self) -> None: ...

    def close(self) -> None: ...

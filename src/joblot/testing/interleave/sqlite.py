"""SQLite: a statement that meets another writer is refused at once and retried later.

The connections do not wait (`busy_timeout = 0`); the explorer waits in their place. It repeats a
statement for which SQLite would wait once another operation has ended its transaction. A statement
for which SQLite would *not* wait, because waiting could never help, fails as usual: that of a
transaction that has read and wants to write while another one writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.testing.interleave.database import Performer
from joblot.testing.interleave.sqlite_watch import WatchedConnection, wants_to_write
from joblot.testing.interleave.wrapper import watched


class SqliteDatabase:
    one_writer = True

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._model = connections[alias]
        if self._model.is_in_memory_db():  # type: ignore[attr-defined]
            raise ValueError(
                f"the database {alias!r} is in memory, where SQLite locks differently than in a"
                " file: expected a file (for tests, DATABASES[…]['TEST'] = {'NAME': path})."
            )

    def open(self, operation: Performer) -> BaseDatabaseWrapper:
        def watch(raw: WatchedConnection) -> None:
            sqlite3.Connection.execute(raw, "PRAGMA busy_timeout = 0").close()
            raw.operation = operation

        return watched(self._model, watch, {"factory": WatchedConnection})

    def is_open(self, raw: Any) -> bool:
        return bool(raw.is_open)

    def in_transaction(self, raw: Any) -> bool:
        return raw is not None and raw.is_open and bool(raw.in_transaction)

    def would_wait(self, operation: Performer, others: Sequence[Performer]) -> set[str]:
        if not self.would_write(operation):
            return set()
        return {other.letter for other in others if other.holds_write_lock}

    def would_write(self, operation: Performer) -> bool:
        statement = operation.next
        if statement is None or operation.in_transaction:
            return False
        return wants_to_write(statement.plain)

    def waits(
        self, running: Sequence[Performer], everybody: Sequence[Performer]
    ) -> dict[str, set[str]]:
        return {}  # no operation waits inside a statement

    def wait_until_gone(self, operation: Performer) -> None:
        """Closing the connection has already rolled back."""

    def cut_off(self, operation: Performer) -> None:
        """No statement waits."""

    def hold(self, lock: str) -> bool:
        raise ValueError("SQLite has no lock that could hold a statement: expected PostgreSQL.")

    def release(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is open."""

"""Intercepts Python's sqlite3: a connection and its cursors."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from joblot.testing.interleave.database import Performer
from joblot.testing.interleave.statement import Statement, show

Result = TypeVar("Result")

WRITES = {"INSERT", "UPDATE", "DELETE", "REPLACE"}


class WatchedConnection(sqlite3.Connection):
    """A connection whose operation stops it before each statement.

    `operation` is None while Django sets up the connection.
    """

    operation: Performer | None = None
    is_open = True
    _has_read = False  # a statement of the open transaction has run, so it has its snapshot

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(watched_cursor(factory))

    # sqlite3's shortcut methods create their cursors without calling `cursor`.

    def execute(self, query: str, params: Any = ()) -> Any:
        return self.cursor().execute(query, params)

    def executemany(self, query: str, params: Iterable[Any]) -> Any:
        return self.cursor().executemany(query, params)

    def executescript(self, script: str) -> Any:
        return self.cursor().executescript(script)

    def commit(self) -> None:
        if self.in_transaction:
            self.perform(Statement.of("COMMIT"), super().commit)

    def rollback(self) -> None:
        if self.in_transaction:
            self.perform(Statement.of("ROLLBACK"), super().rollback)

    def close(self) -> None:
        self.is_open = False
        super().close()

    def perform(self, statement: Statement, call: Callable[[], Result]) -> Result:
        if self.operation is None:
            return call()
        waits = statement.plain == "COMMIT" or not (self.in_transaction and self._has_read)
        result = self.operation.perform(statement, call, lambda error: waits and is_busy(error))
        self._has_read = self.in_transaction and not statement.plain.startswith("BEGIN")
        if self.in_transaction and wants_to_write(statement.plain):
            self.operation.holds_write_lock = True
        return result


class CursorWatch:
    """Mixed into any cursor class that a connection is asked for."""

    connection: WatchedConnection
    rowcount: int
    _statement: Statement | None = None

    def execute(self, query: str, params: Any = ()) -> Any:
        run = super().execute  # type: ignore[misc]
        return self._perform(Statement.of(query, params), lambda: run(query, params))

    def executemany(self, query: str, params: Iterable[Any]) -> Any:
        run, rows = super().executemany, list(params)  # type: ignore[misc]
        return self._perform(Statement.of(query, prefix="(many) "), lambda: run(query, rows))

    def executescript(self, script: str) -> Any:
        run = super().executescript  # type: ignore[misc]
        return self._perform(Statement.of(script), lambda: run(script))

    def fetchone(self) -> Any:
        row = super().fetchone()  # type: ignore[misc]
        self._note([] if row is None else [row])
        return row

    def fetchmany(self, size: int | None = None) -> Any:
        fetch = super().fetchmany  # type: ignore[misc]
        return self._note(fetch() if size is None else fetch(size))

    def fetchall(self) -> Any:
        return self._note(super().fetchall())  # type: ignore[misc]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = super().__next__()  # type: ignore[misc]
        self._note([row])
        return row

    def _perform(self, statement: Statement, call: Callable[[], Result]) -> Result:
        self._statement = statement
        result = self.connection.perform(statement, call)
        statement.row_count = self.rowcount
        return result

    def _note(self, rows: Sequence[Any]) -> Sequence[Any]:
        if self._statement is not None:
            for row in rows:
                self._statement.note_row(map(show, row))
        return rows


# Threads: single look-ups and assignments; at worst a class is made twice.
CURSORS: dict[type, type] = {}


def watched_cursor(factory: type) -> type:
    if factory not in CURSORS:
        CURSORS[factory] = type(f"Watched{factory.__name__}", (CursorWatch, factory), {})
    return CURSORS[factory]


def is_busy(error: Exception) -> bool:
    """True if another connection holds a lock. Waiting can't resolve the extended BUSY_SNAPSHOT."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def wants_to_write(text: str) -> bool:
    words = text.upper().split(maxsplit=2) or [""]
    return words[0] in WRITES or words[:2] in (["BEGIN", "IMMEDIATE"], ["BEGIN", "EXCLUSIVE"])

"""The threads and connections of operations; explorations may share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import Self

from django.db import connections

from joblot.testing.interleave.catalogue import lock_rows, touched
from joblot.testing.interleave.database import Database
from joblot.testing.interleave.footprint import Reader
from joblot.testing.interleave.operation import Body, Operation
from joblot.testing.interleave.sqlite import SqliteDatabase

LETTERS = "ABC"
RETIRE_SECONDS_MAX = 5.0


class Cast:
    """Threads and connections for many explorations of one database with an unchanging schema.

    A new connection costs the server more than a schedule does: it plans each statement again.
    `using` is the alias. Close the cast, or use it in a `with` block, before dropping the database.
    """

    def __init__(self, using: str) -> None:
        self.using = using
        self.moved: SimpleQueue[None] = SimpleQueue()
        self.database = database_of(using)
        self._operations: list[Operation] = []
        self._reader: Reader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def play(self, parts: Mapping[str, Body]) -> Sequence[Operation]:
        """Return one operation per named body; at most three."""
        for letter in LETTERS[len(self._operations) : len(parts)]:
            self._operations.append(Operation(letter, self.database, self.moved))
        for operation, (name, body) in zip(self._operations, parts.items(), strict=False):
            operation.name, operation.body = name, body
        return self._operations[: len(parts)]

    def reader(self) -> Reader:
        """Return a reader that uses the database's catalogue to find what a statement touches."""
        if self._reader is None:
            connection = connections[self.using]
            self._reader = Reader(touched(connection), lock_rows(connection))
        return self._reader

    def close(self) -> None:
        for operation in self._operations:
            operation.retire(RETIRE_SECONDS_MAX)
        self._operations = []
        self.database.close()


def database_of(using: str) -> Database:
    vendor = connections[using].vendor
    if vendor == "sqlite":
        return SqliteDatabase(using)
    if vendor == "postgresql":
        # psycopg is an extra; a project on SQLite runs without it.
        from joblot.testing.interleave.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(using)
    raise ValueError(f"expected PostgreSQL or SQLite behind {using!r}, got {vendor}.")

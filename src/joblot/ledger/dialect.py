"""What PostgreSQL and SQLite do differently. No other module asks which of them it has."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot import private
from joblot.ledger.copying import copy_in
from joblot.ledger.ending import hang_up, roll_back

SLOTS = 64  # tally slots of a stage, numbered from 1; slot 0 is the folded one

_BUSY_SHARE = 0.5  # of SQLite's busy timeout, for which others wait for the write lock
_MIGRATION_KEY = 0x6A6F626C6F74  # "joblot"


class Dialect(ABC):
    """One database; `name` is the suffix of the statements that only it runs."""

    name: ClassVar[str]
    oldest: ClassVar[str]
    # Several transactions write at once and lock rows. Otherwise the one that writes holds the
    # only lock from its beginning: it never waits for a row, and none is passed over.
    locks_rows: ClassVar[bool]
    # A statement that only reads may change rows in its WITH clauses.
    writes_in_with: ClassVar[bool]
    # JSON inside JSON that a statement has built comes as text.
    nests_json_as_text: ClassVar[bool]
    # What stands in a statement's file for `{now}`, with and without a clock set by a test, and
    # for `{slot}`.
    now: ClassVar[str]
    frozen_now: ClassVar[str]
    slot: ClassVar[str]

    @abstractmethod
    def version(self, conn: BaseDatabaseWrapper) -> str:
        """As people write it, e.g. "PostgreSQL 17"."""

    @abstractmethod
    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        """True if the version is `oldest` or newer."""

    @abstractmethod
    def location(self, conn: BaseDatabaseWrapper) -> str:
        """Which database it is and where, without its password."""

    @abstractmethod
    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        """A parameter of a statement, as the driver takes it."""

    @abstractmethod
    def insert(
        self, conn: BaseDatabaseWrapper, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Insert many rows."""

    @abstractmethod
    def begin_reading(self, conn: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
        """A transaction that begins inside the block takes no lock until it writes."""

    @abstractmethod
    def use_one_snapshot(self, conn: BaseDatabaseWrapper, *, writes: bool) -> None:
        """All statements of the transaction that has just begun read from one snapshot."""

    @abstractmethod
    def limit_lock_wait(self, conn: BaseDatabaseWrapper, seconds: float) -> None:
        """Statements of this transaction fail after waiting `seconds` for a row."""

    @abstractmethod
    def seconds_within(self, conn: BaseDatabaseWrapper, seconds: float) -> float:
        """How much of a time limit a transaction may use without failing others that wait."""

    @abstractmethod
    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        """Roll back what another thread does on this connection, and refuse what it may write."""

    @abstractmethod
    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        """End a statement that began just as its transaction was ended."""

    @abstractmethod
    def restore(self, conn: BaseDatabaseWrapper) -> None:
        """After `end_transaction`, by the connection's own thread: make it usable."""

    @abstractmethod
    def migration_lock(self, conn: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
        """One process at a time migrates: servers that start together must not meet in it."""


class PostgreSQL(Dialect):
    name = "postgresql"
    oldest = "15"
    locks_rows = True
    writes_in_with = True
    nests_json_as_text = False
    now = "statement_timestamp()"
    frozen_now = "%(clock)s::timestamptz"
    slot = f"(pg_backend_pid() %% {SLOTS} + 1)"

    def version(self, conn: BaseDatabaseWrapper) -> str:
        return f"{conn.display_name} {self._number(conn) // 10_000}"

    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        return self._number(conn) // 10_000 >= int(self.oldest)

    def location(self, conn: BaseDatabaseWrapper) -> str:
        given = conn.settings_dict
        host = f" on {given['HOST']}" if given["HOST"] else ""
        return f"{conn.display_name} {given['NAME']}{host}"

    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        """An array of integers as text: it costs less than psycopg's, whose type changes with the
        size of the numbers, and with it the prepared statement.
        """
        if isinstance(value, datetime):
            return conn.ops.adapt_datetimefield_value(value)
        if isinstance(value, list) and all(isinstance(one, int) for one in value):
            return f"{{{','.join(map(str, value))}}}"
        return value

    def insert(
        self, conn: BaseDatabaseWrapper, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
    ) -> None:
        copy_in(conn, f"COPY {table} ({columns}) FROM STDIN", rows)

    def begin_reading(self, conn: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def use_one_snapshot(self, conn: BaseDatabaseWrapper, *, writes: bool) -> None:
        access = "READ WRITE" if writes else "READ ONLY"
        with conn.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {access}")

    def limit_lock_wait(self, conn: BaseDatabaseWrapper, seconds: float) -> None:
        with conn.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{seconds}s'")

    def seconds_within(self, conn: BaseDatabaseWrapper, seconds: float) -> float:
        return seconds

    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        hang_up(conn.connection)

    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        """Nothing runs: its socket is shut."""

    def restore(self, conn: BaseDatabaseWrapper) -> None:
        conn.close()

    @contextmanager
    def migration_lock(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        """An advisory lock; it ends with the connection."""
        with conn.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_KEY])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_KEY])

    def _number(self, conn: BaseDatabaseWrapper) -> int:
        return int(getattr(conn, "pg_version", 0))


class SQLite(Dialect):
    name = "sqlite"
    oldest = "3.35"
    locks_rows = False
    writes_in_with = False
    nests_json_as_text = True
    now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
    frozen_now = "%(clock)s"
    slot = "1"

    def version(self, conn: BaseDatabaseWrapper) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        return sqlite3.sqlite_version_info >= tuple(map(int, self.oldest.split(".")))

    def location(self, conn: BaseDatabaseWrapper) -> str:
        return f"SQLite {conn.settings_dict['NAME']}"

    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        if isinstance(value, datetime):
            return conn.ops.adapt_datetimefield_value(value)
        if isinstance(value, UUID):
            return value.hex
        if isinstance(value, list):
            return json.dumps(value)
        return value

    def insert(
        self, conn: BaseDatabaseWrapper, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
    ) -> None:
        places = ", ".join(["%s"] * len(columns.split(",")))
        with conn.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({places})",  # noqa: S608 (the caller's)
                list(rows),
            )

    @contextmanager
    def begin_reading(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        """DEFERRED: its snapshot is from its first read on. Joblot's databases begin each
        transaction IMMEDIATE, which waits for the write lock.
        """
        conn.ensure_connection()  # connecting sets the mode
        mode, conn.transaction_mode = conn.transaction_mode, "DEFERRED"  # type: ignore[attr-defined]
        try:
            yield
        finally:
            conn.transaction_mode = mode  # type: ignore[attr-defined]

    def use_one_snapshot(self, conn: BaseDatabaseWrapper, *, writes: bool) -> None:
        """Every transaction of SQLite's does."""

    def limit_lock_wait(self, conn: BaseDatabaseWrapper, seconds: float) -> None:
        """There are no row locks."""

    def seconds_within(self, conn: BaseDatabaseWrapper, seconds: float) -> float:
        busy = float(conn.settings_dict.get("OPTIONS", {}).get("timeout", 5.0))
        return min(seconds, busy * _BUSY_SHARE)

    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        roll_back(conn.connection)

    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # the code has closed it
            conn.connection.interrupt()

    def restore(self, conn: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # the code has closed it
            conn.connection.execute("PRAGMA query_only = OFF")

    @contextmanager
    def migration_lock(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        with private.file_lock(Path(f"{conn.settings_dict['NAME']}-migrate.lock")):
            yield


_DIALECTS: dict[str, Dialect] = {one.name: one for one in (PostgreSQL(), SQLite())}


def dialect_of(conn: BaseDatabaseWrapper) -> Dialect:
    """The dialect of this connection. Raises NotImplementedError for an unsupported database."""
    try:
        return _DIALECTS[conn.vendor]
    except KeyError:
        raise NotImplementedError(
            f"expected PostgreSQL or SQLite, got {conn.display_name}"
        ) from None

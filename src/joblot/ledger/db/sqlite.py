"""The SQLite dialect."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot import private
from joblot.ledger.db.base import INTERRUPT_SECONDS, Dialect

_BUSY_SHARE = 0.5  # of the busy timeout, which is how long others wait for the write lock
_INTERRUPTED_TRIES_MAX = 10
_MIGRATE_LOCK = "-migrate.lock"  # beside the database's file


class SQLite(Dialect):
    name = "sqlite"
    oldest = "3.35"
    locks_rows = False
    writes_in_with = False
    has_functions = False
    has_notifications = False
    nests_json_as_text = True
    now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"
    frozen_now = "%(clock)s"
    slot = "1"
    # While all leases are of one job and in one state, SQLite's statistics call an index useless.
    by_state = "INDEXED BY joblot_lease_job_state"
    gave_back = "INDEXED BY joblot_lease_gave_back"

    def version(self, conn: BaseDatabaseWrapper) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        return sqlite3.sqlite_version_info >= tuple(map(int, self.oldest.split(".")))

    def location(self, conn: BaseDatabaseWrapper) -> str:
        return f"SQLite {conn.settings_dict['NAME']}"

    def files(self, conn: BaseDatabaseWrapper) -> list[Path]:
        file = conn.settings_dict["NAME"]
        return [Path(f"{file}{end}") for end in ("", "-wal", "-shm", _MIGRATE_LOCK)]

    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        if isinstance(value, datetime):
            return conn.ops.adapt_datetimefield_value(value)
        if isinstance(value, UUID):
            return value.hex
        if isinstance(value, list):
            return json.dumps([self.adapted(conn, one) for one in value])
        return value

    def cursor(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        return contextlib.closing(conn.create_cursor())

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
        """Begin DEFERRED, with a snapshot as of the first read. By default joblot begins each
        transaction IMMEDIATE, which waits for the write lock.
        """
        conn.ensure_connection()  # connecting sets the mode
        mode, conn.transaction_mode = conn.transaction_mode, "DEFERRED"  # type: ignore[attr-defined]
        try:
            yield
        finally:
            conn.transaction_mode = mode  # type: ignore[attr-defined]

    def use_one_snapshot(self, conn: BaseDatabaseWrapper, *, writes: bool) -> None:
        """Nothing to do: every transaction of SQLite does this."""

    def limit_lock_wait(self, conn: BaseDatabaseWrapper, seconds: float) -> None:
        """Nothing to do: SQLite has no row locks."""

    def seconds_within(self, conn: BaseDatabaseWrapper, seconds: float) -> float:
        busy = float(conn.settings_dict.get("OPTIONS", {}).get("timeout", 5.0))
        return min(seconds, busy * _BUSY_SHARE)

    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        _roll_back(conn.connection)

    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # the code has closed it
            conn.connection.interrupt()

    def restore(self, conn: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # the code has closed it
            conn.connection.execute("PRAGMA query_only = OFF")

    @contextmanager
    def migration_lock(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        with private.file_lock(Path(f"{conn.settings_dict['NAME']}{_MIGRATE_LOCK}")):
            yield


def _roll_back(file: Any) -> None:
    """SQLite lets another thread do this between two statements."""
    done = threading.Event()
    threading.Thread(target=_interrupt_until, args=(done, file), daemon=True).start()
    try:
        _execute(file, "PRAGMA query_only = ON")
        _execute(file, "ROLLBACK")
    finally:
        done.set()


def _interrupt_until(done: threading.Event, file: Any) -> None:
    """Interrupt the running statement repeatedly, because the code may begin another one."""
    while not done.wait(INTERRUPT_SECONDS):
        file.interrupt()


def _execute(file: Any, statement: str) -> None:
    """Execute the statement; retry if it is hit by an interrupt meant for another statement."""
    for _ in range(_INTERRUPTED_TRIES_MAX):
        try:
            file.execute(statement)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        else:
            return

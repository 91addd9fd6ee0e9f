"""The PostgreSQL dialect."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.base import SLOTS, Dialect

_CANCEL_SECONDS_MAX = 5.0
_AS_TEXT = frozenset({int, UUID})  # types of the elements of such an array
_CURSOR = "_joblot_cursor"  # attributes of the driver's connection
_COMMITTING_CURSOR = "_joblot_committing_cursor"
_MIGRATION_KEY = 0x6A6F626C6F74  # "joblot"


class PostgreSQL(Dialect):
    name = "postgresql"
    oldest = "15"
    locks_rows = True
    writes_in_with = True
    has_functions = True
    has_notifications = True
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

    def files(self, conn: BaseDatabaseWrapper) -> list[Path]:
        return []

    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        """Pass an array of integers or UUIDs as text. It is cheaper than psycopg's own, whose
        type, and so the prepared statement, depends on the size of the numbers.
        """
        if isinstance(value, datetime):
            return conn.ops.adapt_datetimefield_value(value)
        if isinstance(value, list) and _AS_TEXT.issuperset(map(type, value)):
            return f"{{{','.join(map(str, value))}}}"
        return value

    def cursor(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """One for all statements of a connection that no threads share, since a cursor learns how
        to convert each type. The memory of its result is freed.
        """
        return _kept_cursor(conn, _CURSOR, conn.create_cursor)

    def committing_cursor(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """One that puts the parameters into the text: a message with parameters of its own is
        limited to one statement.
        """
        made_by = import_module("psycopg").ClientCursor
        return _kept_cursor(conn, _COMMITTING_CURSOR, partial(made_by, conn.connection))

    def insert(
        self, conn: BaseDatabaseWrapper, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
    ) -> None:
        _copy_in(conn, f"COPY {table} ({columns}) FROM STDIN", rows)

    def begin_reading(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[None]:
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
        _hang_up(conn.connection)

    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        """Nothing to do: the connection's socket is shut down."""

    def restore(self, conn: BaseDatabaseWrapper) -> None:
        conn.close()

    @contextmanager
    def migration_lock(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        """An advisory lock; it ends with the connection. It is held by an open transaction, because
        a pooler may give each transaction another session.
        """
        holder = conn.copy()
        try:
            with holder.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_KEY])
                yield
                cursor.execute("COMMIT")
        finally:
            holder.close()

    def _number(self, conn: BaseDatabaseWrapper) -> int:
        return int(getattr(conn, "pg_version", 0))


@contextmanager
def _kept_cursor(
    conn: BaseDatabaseWrapper, attribute: str, make: Callable[[], Any]
) -> Iterator[Any]:
    link: Any = conn.connection
    cursor = None if conn.allow_thread_sharing else getattr(link, attribute, None)
    if cursor is None:
        cursor = make()
        if not conn.allow_thread_sharing:
            setattr(link, attribute, cursor)
    try:
        yield cursor
    finally:
        if cursor.pgresult is not None:
            cursor.pgresult.clear()


def _copy_in(
    connection: BaseDatabaseWrapper, statement: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    """Run a `COPY … FROM STDIN` inside the connection's `execute_wrapper`s. The driver's errors
    become Django's.
    """

    def copied(sql: str, given: Any, many: bool, context: Any) -> None:
        with connection.wrap_database_errors, context["cursor"].copy(sql) as copying:
            for row in given:
                copying.write_row(row)

    with connection.cursor() as cursor:
        run: Callable[..., None] = copied
        for wrapper in reversed(connection.execute_wrappers):
            run = partial(wrapper, run)
        run(statement, rows, True, {"connection": connection, "cursor": cursor})


def _hang_up(link: Any) -> None:
    """Cancel the running statement and close the link, at which PostgreSQL rolls back."""
    if link.closed:
        return
    with contextlib.suppress(Exception):  # the server does not answer; shutting the link remains
        link.cancel_safe(timeout=_CANCEL_SECONDS_MAX)
    with socket.socket(fileno=os.dup(link.pgconn.socket)) as wire:
        wire.shutdown(socket.SHUT_RDWR)

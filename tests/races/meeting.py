"""Makes two connections meet: one stops where the test says, the other runs until it waits.

It never sleeps: a gate is an event, and PostgreSQL reports which connection waits for a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.transactions import connection
from joblot.testing.interleave.psycopg_watch import WatchedConnection
from joblot.testing.interleave.statement import Statement
from tests.polling import eventually
from tests.stepped import watched

T = TypeVar("T")

SECONDS_MAX = 30
COMMIT = "COMMIT"
END = "-- step: end"  # of a function that is its own transaction: then it is committed


class Gate:
    """Stops a connection before a statement, until the gate is opened.

    `before` is a part of the statement's text, or COMMIT; `nth` says which of them, from 1. The
    statement may be one of a function's, with `tests.stepped`.
    """

    def __init__(self, before: str, nth: int = 1) -> None:
        self._before = before
        self._left = nth
        self._reached = threading.Event()
        self._opened = threading.Event()
        self._around: Any = None

    def through(self, act: Callable[[], T]) -> Callable[[], T]:
        """Run `act`, stopping at this gate; call it in a separate thread."""

        def stopping() -> T:
            with ExitStack() as stack:
                stack.enter_context(connection().execute_wrapper(self._at_statement))
                stack.enter_context(self._at_commit(connection()))
                stack.enter_context(self._at_steps(connection()))
                return act()

        return stopping

    def wait(self) -> None:
        """Wait until a connection stands at the gate."""
        assert self._reached.wait(SECONDS_MAX), f"no connection reached {self._before!r}"

    def open(self) -> None:
        self._opened.set()

    def _at_statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._before != COMMIT and self._before in sql:
            self._stand()
        return execute(sql, params, many, context)

    @contextmanager
    def _at_commit(self, conn: Any) -> Iterator[None]:
        plain: Callable[[], None] = conn._commit

        def commit() -> None:
            if self._before == COMMIT:
                self._stand()
            plain()

        conn._commit = commit
        try:
            yield
        finally:
            conn._commit = plain

    @contextmanager
    def _at_steps(self, conn: BaseDatabaseWrapper) -> Iterator[None]:
        if conn.vendor != "postgresql":
            yield
            return
        conn.ensure_connection()
        raw: Any = conn.connection
        gate: Any = self  # it stops a connection as an operation of the explorer does
        if isinstance(raw, WatchedConnection):  # another gate is around this one
            self._around = raw.operation
            raw.operation = gate
            yield
            raw.operation = self._around
            return
        with watched(conn, gate):
            yield

    def perform(self, statement: Statement, call: Callable[[], T], is_busy: object) -> T:
        return call()

    def step(self, statement: Statement, go_on: Callable[[], None]) -> None:
        """A connection has reached a step of a function."""
        is_last = END in statement.sql and not connection().in_atomic_block
        if self._before in statement.sql or (is_last and self._before == COMMIT):
            self._stand()
        if self._around is None:
            go_on()
        else:
            self._around.step(statement, go_on)

    def _stand(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._reached.set()
            assert self._opened.wait(SECONDS_MAX), f"the gate {self._before!r} was never opened"


def until_waiting(backends: int = 1) -> None:
    """Wait until this many connections to the test's database wait for a lock."""
    eventually(lambda: waiting() >= backends)


def waiting() -> int:
    with connection().cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' "  # autovacuum also waits for locks
            "AND wait_event_type = 'Lock' AND wait_event <> 'advisory'"  # at a step of a function
        )
        return int(cursor.fetchone()[0])


@contextmanager
def holding(conn: BaseDatabaseWrapper, sql: str, params: Any = ()) -> Iterator[Any]:
    """The test's own transaction, which holds the locks of `sql` until the block ends."""
    conn.set_autocommit(False)
    with conn.cursor() as cursor:
        cursor.execute(sql, params)
        try:
            yield cursor
            conn.commit()
        finally:
            conn.rollback()
            conn.set_autocommit(True)

"""Intercepts psycopg at the one method that every statement passes through.

`Connection.wait` drives a generator for everything that is sent: `execute` of any cursor, COMMIT,
COPY, FETCH, a pipeline's sync. The generator's name shows what it is about to send; before it has
started, its arguments hold the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from types import GeneratorType
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from joblot.testing.interleave.database import Performer
from joblot.testing.interleave.statement import ROWS_SHOWN_MAX, Statement
from joblot.testing.interleave.steps import Gates, step_of

Arguments = dict[str, Any]
Name = Callable[["WatchedConnection", Arguments], Statement | None]


class WatchedConnection(psycopg.Connection[Any]):
    """A psycopg connection whose operation stops it before each statement."""

    operation: Performer
    gates: Gates
    steps: list[tuple[int, str]]  # inside functions, that were reported but not stopped at yet
    sent_in_pipeline = False  # since the last sync

    @classmethod
    def watch(cls, raw: Any, operation: Performer, gates: Gates) -> None:
        """Change the class of a live connection: Django offers no way to choose it beforehand."""
        gates.keep(raw)
        kind = type(raw)
        raw.__class__ = cls if kind is psycopg.Connection else type(cls.__name__, (cls, kind), {})
        raw.operation, raw.gates, raw.steps = operation, gates, []
        raw.add_notice_handler(raw.note_step)

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        statement = self._statement_of(gen)
        if statement is None:
            return super().wait(gen, *args, **kwargs)
        cursor = gen.gi_frame.f_locals["self"]

        def send() -> Any:
            stepping = self._stepping(gen)
            answer = super(WatchedConnection, self).wait(stepping, *args, **kwargs)
            self._finish_pipelined()
            note_result(statement, cursor)
            return answer

        return self.operation.perform(statement, send, never_busy)

    def note_step(self, notice: psycopg.errors.Diagnostic) -> None:
        if step := step_of(notice.message_primary):
            self.steps.append(step)

    def _stepping(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same generator, which stops at each step that the server reports meanwhile."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send((yield wanted))
                for number, code in self.steps:
                    go_on = partial(self.gates.open, self.info.backend_pid, number)
                    self.operation.step(Statement.of(code), go_on)
                self.steps.clear()
        except StopIteration as end:
            return end.value

    def _statement_of(self, gen: Any) -> Statement | None:
        """None if this is no statement, or part of one that has already stopped."""
        if not isinstance(gen, GeneratorType) or gen.gi_frame is None:
            return None
        name = NAMES.get(gen.__qualname__)
        return name(self, gen.gi_frame.f_locals) if name else None

    def _finish_pipelined(self) -> None:
        """In a pipeline a statement is only queued. Make the server run it before others move."""
        if self._pipeline is not None:
            self.sent_in_pipeline = True
            super().wait(self._pipeline._fetch_gen(flush=True))  # noqa: SLF001


def never_busy(error: Exception) -> bool:
    return False


def note_result(statement: Statement, cursor: Any) -> None:
    if not isinstance(cursor, psycopg.Cursor):
        return
    statement.row_count = cursor.rowcount
    result = cursor.pgresult
    if result is None or result.nfields == 0:
        return
    statement.rows_read = max(0, result.ntuples - ROWS_SHOWN_MAX)
    for row in range(min(result.ntuples, ROWS_SHOWN_MAX)):
        statement.note_row(show_value(result, row, column) for column in range(result.nfields))


def show_value(result: Any, row: int, column: int) -> str:
    value = result.get_value(row, column)
    if value is None:
        return "NULL"
    return "(binary)" if result.fformat(column) else bytes(value).decode(errors="replace")


def query(connection: WatchedConnection, arguments: Arguments) -> Statement:
    return Statement.of(arguments["query"], arguments.get("params"))


def many(connection: WatchedConnection, arguments: Arguments) -> Statement:
    return Statement.of(arguments["query"], prefix="(many) ")


def declare(connection: WatchedConnection, arguments: Arguments) -> Statement:
    return Statement.of(arguments["query"], arguments.get("params"), prefix="DECLARE CURSOR FOR ")


def copy(connection: WatchedConnection, arguments: Arguments) -> Statement:
    return Statement.of(arguments["statement"], arguments.get("params"))


def commit(connection: WatchedConnection, arguments: Arguments) -> Statement | None:
    return Statement.of("COMMIT") if in_transaction(connection) else None


def rollback(connection: WatchedConnection, arguments: Arguments) -> Statement | None:
    return Statement.of("ROLLBACK") if in_transaction(connection) else None


def in_transaction(connection: WatchedConnection) -> bool:
    return connection.pgconn.transaction_status != TransactionStatus.IDLE


def end_of_block(connection: WatchedConnection, arguments: Arguments) -> Statement:
    """The end of psycopg's own `with connection.transaction()`, nested or not."""
    savepoint = arguments["self"].savepoint_name
    if arguments["exc_val"] is not None:
        return Statement.of(f"ROLLBACK TO {savepoint}" if savepoint else "ROLLBACK")
    return Statement.of(f"RELEASE {savepoint}" if savepoint else "COMMIT")


def sync(connection: WatchedConnection, arguments: Arguments) -> Statement | None:
    """Ends the implicit transaction that a pipeline wraps around statements outside any other."""
    sent, connection.sent_in_pipeline = connection.sent_in_pipeline, False
    return Statement.of("SYNC") if sent and connection.autocommit else None


def fixed(text: str) -> Name:
    return lambda connection, arguments: Statement.of(text)


NAMES: dict[str, Name] = {
    "BaseCursor._execute_gen": query,
    "BaseCursor._executemany_gen_pipeline": many,
    "BaseCursor._executemany_gen_no_pipeline": many,
    "BaseCursor._stream_send_gen": query,
    "BaseCursor._start_copy_gen": copy,
    "ServerCursorMixin._declare_gen": declare,
    "ServerCursorMixin._fetch_gen": fixed("FETCH"),
    "ServerCursorMixin._scroll_gen": fixed("MOVE"),
    "BaseConnection._commit_gen": commit,
    "BaseConnection._rollback_gen": rollback,
    "BaseConnection._tpc_prepare_gen": fixed("PREPARE TRANSACTION"),
    "BaseConnection._tpc_finish_gen": fixed("END OF THE PREPARED TRANSACTION"),
    "BaseTransaction._exit_gen": end_of_block,
    "BasePipeline._sync_gen": sync,
    "BasePipeline._exit_gen": sync,
}

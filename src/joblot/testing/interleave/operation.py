"""An operation: a thread with its own connection, which moves only on command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from queue import SimpleQueue
from typing import Any, NoReturn, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.testing.interleave.database import Database
from joblot.testing.interleave.statement import Statement, first_line

Result = TypeVar("Result")
Body = Callable[[], object]


class Killed(BaseException):  # not an Exception, so that `except Exception` can't survive it
    """Raised inside an operation that the explorer kills; its connection is already closed."""


@dataclass(slots=True)
class OperationOutcome:
    """How an operation ended: it returned `value`, raised `error`, or was `killed`."""

    value: Any = None
    error: BaseException | None = None
    killed: bool = False

    def __str__(self) -> str:
        if self.killed:
            return "killed"
        return f"raised {first_line(self.error)}" if self.error else f"returned {self.value!r}"


class State(Enum):
    RUNNING = "its thread runs, or waits for a lock inside the database"
    STOPPED = "before a statement"
    BUSY = "the database refused its statement because another connection writes (SQLite)"
    ENDED = "returned, raised or killed"


class Command(Enum):
    BEGIN = "run from the start"
    GO = "run the statement and stop before the next"
    KILL = "die before the statement"
    GIVE_UP = "let the busy error through"
    RETIRE = "close the connection and end the thread"


class Operation:
    """The explorer calls `begin`, `go` and `kill`; the database's connection calls `perform`."""

    def __init__(
        self,
        letter: str,
        database: Database,
        moved: SimpleQueue[None],
    ) -> None:
        self.letter = letter
        self.name = letter
        self.body: Body = lambda: None
        self.state = State.ENDED
        self.outcome = OperationOutcome()
        self.next: Statement | None = None
        self.in_transaction = False
        self.statements_run = 0
        self.backend_id: int | None = None
        self.holds_write_lock = False
        self._database = database
        self._moved = moved
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._connection: BaseDatabaseWrapper | None = None
        self._silent = True
        self._performed: Statement | None = None
        self._dead = False
        self._thread = threading.Thread(target=self._serve, name=f"operation-{letter}", daemon=True)
        self._thread.start()

    # The explorer's side. Every command makes one or more entries in `moved`.

    @property
    def is_running(self) -> bool:
        return self.state is State.RUNNING

    def begin(self) -> None:
        self.outcome, self.next = OperationOutcome(), None
        self.in_transaction, self.statements_run = False, 0
        self._command(Command.BEGIN)

    def go(self) -> None:
        self._command(Command.GO)

    def kill(self) -> None:
        self._command(Command.KILL)

    def give_up(self) -> None:
        self._command(Command.GIVE_UP)

    def retire(self, seconds_max: float) -> None:
        self._commands.put(Command.RETIRE)
        self._thread.join(seconds_max)

    def _command(self, command: Command) -> None:
        self.state = State.RUNNING
        self._commands.put(command)

    # The thread's side.

    def perform(
        self, statement: Statement, call: Callable[[], Result], is_busy: Callable[[Exception], bool]
    ) -> Result:
        """Stop before the statement, then run it. Statements nested inside it do not stop."""
        if self._silent:
            return call()
        self._stop(statement)
        self._silent, self._performed = True, statement
        try:
            result = self._repeat_while_busy(call, is_busy)
        except Exception as error:
            (self.next or statement).error = error  # perhaps of its last step
            raise
        finally:
            self._silent, self._performed = False, None
        self.statements_run += 1
        return result

    def step(self, statement: Statement, go_on: Callable[[], None]) -> None:
        """Stop inside the statement that is performed, before a part of it, then go on."""
        if self._performed is not None:
            self._performed.stepped = True
            self._stop(statement)
            self.statements_run += 1
        go_on()

    def _stop(self, statement: Statement) -> None:
        if self._dead:
            raise Killed
        self._look_at_transaction()
        statement.in_transaction = self.in_transaction
        self.next = statement
        if self._report(State.STOPPED) is Command.KILL:
            self._die()

    def _die(self) -> NoReturn:
        self._dead = True
        self._close_raw()
        raise Killed

    def _repeat_while_busy(
        self, call: Callable[[], Result], is_busy: Callable[[Exception], bool]
    ) -> Result:
        while True:
            try:
                return call()
            except Exception as error:
                if not is_busy(error):
                    raise
                command = self._report(State.BUSY)
                if command is Command.GIVE_UP:
                    raise
                if command is Command.KILL:
                    self._die()

    def _report(self, state: State) -> Command:
        self.state = state
        self._moved.put(None)
        return self._commands.get()

    def _serve(self) -> None:
        while self._commands.get() is not Command.RETIRE:
            self._run_body()
            self.state = State.ENDED
            self._moved.put(None)
        self._close()

    def _run_body(self) -> None:
        outcome = self.outcome
        try:
            self._open()
            outcome.value = self.body()
        except BaseException as error:  # noqa: BLE001 (it is the outcome)
            outcome.error = error
        if self._dead:  # even if the code swallowed the exception
            outcome.value, outcome.error, outcome.killed = None, None, True
        self._silent = True
        self._leave_nothing_open()

    def _open(self) -> None:
        """Keep the connection across runs: opening one takes longer than a whole run."""
        self._dead = False
        if self._connection is None:
            self._connection = self._database.open(self)
            connections[self._database.alias] = self._connection
        self._connection.ensure_connection()
        self._silent = False

    def _leave_nothing_open(self) -> None:
        """Roll back what the operation left open, as at the end of a request.

        A killed operation's exception handlers may have opened a new connection.
        """
        connection = self._connection
        if connection is not None:
            self._look_at_transaction()
            left = self._dead or self.in_transaction or connection.in_atomic_block
            if left or not self._is_open():
                self._close()
        self.in_transaction = self.holds_write_lock = False

    def _is_open(self) -> bool:
        raw = self._connection.connection if self._connection else None
        return raw is not None and self._database.is_open(raw)

    def _look_at_transaction(self) -> None:
        raw = self._connection.connection if self._connection else None
        self.in_transaction = raw is not None and self._database.in_transaction(raw)
        self.holds_write_lock &= self.in_transaction

    def _close(self) -> None:
        """Close the connection; the next run opens another one."""
        self._close_raw()
        self._connection = None

    def _close_raw(self) -> None:
        """Bypass Django, which refuses to close inside `atomic`."""
        raw = self._connection.connection if self._connection else None
        if raw is not None:
            raw.close()

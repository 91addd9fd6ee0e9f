"""Runs schedules: sets the scene, lets the operations move, and checks what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Self

from django.db import connections

from joblot.testing.interleave.catalogue import touched
from joblot.testing.interleave.database import Database
from joblot.testing.interleave.errors import Deadlocked, UnexpectedError
from joblot.testing.interleave.footprint import Footprints
from joblot.testing.interleave.operation import Operation, Outcome
from joblot.testing.interleave.run import Hold, Run, is_deadlock
from joblot.testing.interleave.schedule import Chooser, Schedule
from joblot.testing.interleave.sqlite import SqliteDatabase
from joblot.testing.interleave.statement import first_line

LETTERS = "ABC"
RETIRE_SECONDS_MAX = 5.0

Setup = Callable[[], object]
Check = Callable[[Mapping[str, Outcome]], object]


class Explorer:
    """The threads and connections of the operations, kept from schedule to schedule."""

    def __init__(
        self,
        operations: Mapping[str, Callable[[], object]],
        setup: Setup,
        check: Check,
        *,
        using: str,
        hold: Hold | None,
        kills: int,
        allowed: tuple[type[BaseException], ...],
        deadlocks_allowed: bool,
        reduced: bool = False,
    ) -> None:
        if not 1 <= len(operations) <= len(LETTERS):
            raise ValueError(f"expected one to {len(LETTERS)} operations, got {len(operations)}.")
        if hold is not None and hold.operation not in operations:
            raise ValueError(f"hold: expected one of {sorted(operations)}, got {hold.operation!r}.")
        if reduced and (kills or hold is not None):
            raise ValueError("reduced: expected neither kills nor a hold, which touch everything.")
        self.names, self.reduced = list(operations), reduced
        self._setup, self._check = setup, check
        self._using, self._hold, self._kills = using, hold, kills
        self._allowed, self._deadlocks_allowed = allowed, deadlocks_allowed
        self._refuse_transaction()
        self._moved: SimpleQueue[None] = SimpleQueue()
        self._database = database_of(using)
        self._touched = touched(connections[using]) if reduced else None
        self._operations = [
            Operation(letter, name, body, self._database, self._moved)
            for letter, (name, body) in zip(LETTERS, operations.items(), strict=False)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for operation in self._operations:
            operation.retire(RETIRE_SECONDS_MAX)
        self._database.close()

    def run(self, choose: Chooser) -> Schedule:
        """One schedule. What is wrong with it, if anything, is its `problem`."""
        self._setup()
        self._refuse_transaction()
        run = Run(
            self._operations,
            self._database,
            self._moved,
            self._hold,
            kills=self._kills,
            footprints=self._footprints(),
        )
        schedule = run.play(choose)
        if schedule.problem is None:
            schedule.problem = self._find_problem(schedule.outcomes)
        return schedule

    def _footprints(self) -> Footprints | None:
        return None if self._touched is None else Footprints(self._touched)

    def _find_problem(self, outcomes: Mapping[str, Outcome]) -> BaseException | None:
        for name, outcome in outcomes.items():
            if outcome.error is not None and (problem := self._judge(name, outcome.error)):
                return problem
        try:
            if self._check(outcomes) is False:
                return AssertionError("the check returned False")
        except Exception as problem:  # noqa: BLE001 (whatever the check raises is its verdict)
            return problem
        return None

    def _judge(self, name: str, error: BaseException) -> BaseException | None:
        if is_deadlock(error) or is_deadlock(error.__cause__):
            if self._deadlocks_allowed:
                return None
            problem: Exception = Deadlocked(f"{name} raised {first_line(error)}")
        elif isinstance(error, self._allowed):
            return None
        else:
            problem = UnexpectedError(f"{name} raised {first_line(error)}")
        problem.__cause__ = error
        return problem

    def _refuse_transaction(self) -> None:
        if connections[self._using].in_atomic_block:
            raise ValueError(
                "the operations have connections of their own and would not see what an open"
                " transaction writes: expected a test without one (TransactionTestCase, or"
                " pytest-django's transactional_db)."
            )


def database_of(using: str) -> Database:
    vendor = connections[using].vendor
    if vendor == "sqlite":
        return SqliteDatabase(using)
    if vendor == "postgresql":
        # psycopg is an extra; a project on SQLite runs without.
        from joblot.testing.interleave.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(using)
    raise ValueError(f"expected PostgreSQL or SQLite behind {using!r}, got {vendor}.")

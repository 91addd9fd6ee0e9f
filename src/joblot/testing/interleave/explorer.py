"""Runs schedules: sets the scene, lets the operations move, and checks what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

from django.db import connections

from joblot.testing.interleave.cast import LETTERS, Cast
from joblot.testing.interleave.errors import Deadlocked, UnexpectedError, is_deadlock
from joblot.testing.interleave.footprint import Footprints
from joblot.testing.interleave.hold import Hold
from joblot.testing.interleave.operation import OperationOutcome
from joblot.testing.interleave.run import Run
from joblot.testing.interleave.schedule import Chooser, Schedule
from joblot.testing.interleave.statement import first_line

Setup = Callable[[], object]
Check = Callable[[Mapping[str, OperationOutcome]], object]


class Explorer:
    """Runs schedules of the same operations, each with its setup and check."""

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
        cast: Cast | None = None,
    ) -> None:
        if cast is not None and cast.using != using:
            raise ValueError(f"cast: expected one of the database {using!r}, got {cast.using!r}.")
        if not 1 <= len(operations) <= len(LETTERS):
            raise ValueError(f"expected one to {len(LETTERS)} operations, got {len(operations)}.")
        if hold is not None and hold.operation not in operations:
            raise ValueError(f"hold: expected one of {sorted(operations)}, got {hold.operation!r}.")
        if reduced and (kills or hold is not None):
            raise ValueError("reduced: expected neither kills nor a hold, which touch everything.")
        self.names = list(operations)
        self._setup, self._check = setup, check
        self._using, self._hold, self._kills = using, hold, kills
        self._allowed, self._deadlocks_allowed = allowed, deadlocks_allowed
        self._refuse_transaction()
        self._own_cast = cast is None
        self._cast = cast or Cast(using)
        self._read = self._cast.reader() if reduced else None
        self._operations = self._cast.play(operations)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own_cast:
            self._cast.close()

    def run(self, choose: Chooser) -> Schedule:
        """Run one schedule. If something is wrong, it is the schedule's `problem`."""
        self._setup()
        self._refuse_transaction()
        run = Run(
            self._operations,
            self._cast.database,
            self._cast.moved,
            self._hold,
            kills=self._kills,
            footprints=self._footprints(),
        )
        schedule = run.play(choose)
        if schedule.problem is None:
            schedule.problem = self._find_problem(schedule.outcomes)
        return schedule

    def _footprints(self) -> Footprints | None:
        return None if self._read is None else Footprints(self._read)

    def _find_problem(self, outcomes: Mapping[str, OperationOutcome]) -> BaseException | None:
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
                "the operations use their own connections and would not see the writes of an open"
                " transaction: expected a test without one (TransactionTestCase, or"
                " pytest-django's transactional_db)."
            )

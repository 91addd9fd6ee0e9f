"""One run of the operations in one order of their statements."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import reduce
from operator import or_
from queue import Empty, SimpleQueue

from joblot.testing.interleave.database import HOLD, Database
from joblot.testing.interleave.errors import NeverEnds, Stuck, is_deadlock
from joblot.testing.interleave.footprint import EVERYTHING, NOTHING_TOUCHED, Footprint, Footprints
from joblot.testing.interleave.hold import HeldLock, Hold
from joblot.testing.interleave.one_writer import OneWriter
from joblot.testing.interleave.operation import Operation, State
from joblot.testing.interleave.schedule import Choice, Chooser, Row, Schedule
from joblot.testing.interleave.statement import Statement

LOOK_SECONDS = 0.002  # a statement that takes longer is checked: does it wait for a lock?
LOOK_SECONDS_MAX = 0.016  # the interval doubles up to this, since most checks find nothing
STUCK_SECONDS_MAX = 15.0
END_SECONDS_MAX = 2.0
STEPS_MAX = 500


class Run:
    def __init__(
        self,
        operations: Sequence[Operation],
        database: Database,
        moved: SimpleQueue[None],
        hold: Hold | None = None,
        *,
        kills: int = 0,
        footprints: Footprints | None = None,
    ) -> None:
        self._operations = {op.letter: op for op in operations}
        self._database = database
        self._moved = moved
        self._held_lock = HeldLock(hold, database)
        self._kills_left = kills
        self._footprints = footprints
        self._stepped: dict[str, Footprint] = {}  # in the last step, by operation
        self._waiting: dict[str, set[str]] = {}
        self._arrived: set[str] = set()  # in the last step
        self._open_rows: dict[str, Row] = {}  # of statements that run or wait
        self._tries: dict[str, int] = {}  # when a busy one last tried: transactions ended by then
        self._transactions_ended = 0
        self._last = ""
        self._one_writer = OneWriter(operations, database)
        self.schedule = Schedule()

    def play(self, choose: Chooser) -> Schedule:
        """Run all operations to their end. Whatever prevents it is the schedule's `problem`."""
        try:
            for op in self._all:
                op.begin()
                self._settle()
            while any(op.state is not State.ENDED for op in self._all):
                self._step(choose)
        except (Stuck, NeverEnds) as problem:
            self.schedule.problem = problem
        finally:
            self._end_all()
        self.schedule.outcomes = {op.name: op.outcome for op in self._all}
        return self.schedule

    @property
    def _all(self) -> list[Operation]:
        return list(self._operations.values())

    def _step(self, choose: Chooser) -> None:
        options = self._options()
        if not options:
            self._break_tie()
            return
        choice = Choice(options, self._last, free=self._is_free())
        letter = choose(choice, len(self.schedule.taken))
        if letter not in options:
            self.schedule.strayed, letter = True, choice.default
        self._note_turn(choice, letter)
        self.schedule.choices.append(choice)
        self.schedule.taken += letter
        if len(self.schedule.taken) > STEPS_MAX:
            raise NeverEnds(f"the operations have not ended after {STEPS_MAX} statements")
        self._take(letter)

    # What can be done now.

    def _options(self) -> str:
        letters = "".join(op.letter for op in self._all if self._can_go(op))
        kills = "".join(op.letter.lower() for op in self._all if self._can_be_killed(op))
        return letters + (HOLD if self._held_lock.is_taken else "") + kills

    def _can_go(self, op: Operation) -> bool:
        if op.state is State.BUSY:
            return self._transactions_ended > self._tries[op.letter]
        if op.state is not State.STOPPED or op.next is None:
            return False
        met = self._database.would_wait(op, [other for other in self._all if other is not op])
        self._note_wait(op.next, met)
        return not met

    def _can_be_killed(self, op: Operation) -> bool:
        """After each statement; outside a transaction only right after: later is equivalent."""
        possible = self._kills_left > 0 and op.state is State.STOPPED and op.statements_run > 0
        return possible and (op.in_transaction or op.letter in self._arrived)

    def _note_wait(self, statement: Statement, met: set[str]) -> None:
        if met and not statement.waited_for:
            self.schedule.waits += 1
        statement.waited_for |= met

    def _is_free(self) -> bool:
        one_step = self._footprints is not None
        return one_step and self._one_writer.would_block(self._operations.get(self._last))

    def _note_turn(self, choice: Choice, letter: str) -> None:
        if letter in self._operations:
            last, taken = self._operations.get(self._last), self._operations[letter]
            self._one_writer.note(last, taken, preempted=choice.cost(letter) > 0)

    # Taking a step.

    def _take(self, letter: str) -> None:
        self._arrived, self._stepped = set(), {}
        if letter == HOLD:
            self._release()
        elif letter.islower():
            self._kill(self._operations[letter.upper()])
        else:
            self._last = letter
            self._go(self._operations[letter])

    def _go(self, op: Operation) -> None:
        held = self._held_lock.take_before(op)
        self._send(op)
        self._settle()
        if self._footprints is not None:
            self.schedule.footprints.append(self._footprint(self._footprints, op))
        if held and HOLD not in self._waiting.get(op.letter, ()):
            self._held_lock.release()  # the statement did not need it

    def _send(self, op: Operation) -> None:
        statement = op.next
        if statement is None:
            raise RuntimeError(f"{op.letter} is not stopped at a statement")
        row = Row(op.letter, statement=statement)
        self.schedule.rows.append(row)
        self._open_rows[op.letter] = row
        op.go()

    def _footprint(self, footprints: Footprints, op: Operation) -> Footprint:
        """The footprint of this step: all statements that ended in it, and the one that waits.

        These include statements of operations that the step let continue. A failed statement's
        transaction released its locks; that touches everything, so if two operations came to wait
        for each other, both orders are tried.
        """
        if any(footprint.everything for footprint in self._stepped.values()):
            return EVERYTHING
        if op.is_running and op.next is not None:
            self._stepped[op.letter] = footprints.of_waiting(op.letter, op.next)
        return reduce(or_, self._stepped.values()) if op.letter in self._stepped else EVERYTHING

    def _kill(self, op: Operation) -> None:
        self._kills_left -= 1
        self._last = ""
        self.schedule.rows.append(Row(op.letter, "dies here; its connection closes"))
        op.kill()
        self._settle()
        self._database.wait_until_gone(op)
        self._settle()

    def _release(self) -> None:
        self.schedule.rows.append(Row(HOLD, "the lock is released"))
        self._held_lock.release()
        self._settle()

    def _break_tie(self) -> None:
        """Nothing can move: the database breaks the tie, or the last one refused gets its error."""
        busy = [op for op in self._all if op.state is State.BUSY]
        if busy:
            self.schedule.deadlocks += 1
            busy[-1].give_up()
        elif any(op.is_running for op in self._all):
            self._await_move(time.monotonic() + STUCK_SECONDS_MAX)
        else:
            raise Stuck("each operation waits for another")
        self._settle()

    # Waiting until nothing moves.

    def _settle(self) -> None:
        """Return when all are stopped, have ended, or wait for one that is stopped.

        An operation whose wait is over runs on to its next statement, as on a real server.
        """
        self._wait_until_still()
        while local := next(filter(self._goes_on, self._all), None):
            self._send(local)
            self._wait_until_still()

    def _goes_on(self, op: Operation) -> bool:
        """True if it continues without a choice: nothing that others do could matter here."""
        if op.state is not State.STOPPED or op.next is None:
            return False
        # The holder of the write lock is alone: others read the previous state.
        return op.next.local or (self._footprints is not None and op.holds_write_lock)

    def _wait_until_still(self) -> None:
        waited, self._waiting = set(self._waiting), {}
        deadline, patience = time.monotonic() + STUCK_SECONDS_MAX, LOOK_SECONDS
        while running := [op for op in self._all if op.is_running]:
            if {op.letter for op in running} <= waited or not self._moved_in_time(patience):
                self._waiting = self._database.waits(running, self._all)
                if len(self._waiting) == len(running) and all(op.is_running for op in running):
                    break
                self._check_deadline(deadline, running)
                waited &= set(self._waiting)
                patience = min(2 * patience, LOOK_SECONDS_MAX)
        self._note_arrivals()

    def _moved_in_time(self, seconds: float = LOOK_SECONDS) -> bool:
        try:
            self._moved.get(timeout=seconds)
        except Empty:
            return False
        return True

    def _await_move(self, deadline: float) -> None:
        while all(op.state is not State.STOPPED for op in self._all) and not self._moved_in_time():
            self._check_deadline(deadline, [op for op in self._all if op.is_running])

    def _check_deadline(self, deadline: float, running: Sequence[Operation]) -> None:
        if time.monotonic() > deadline:
            raise Stuck("; ".join(map(self._describe, running)))

    def _describe(self, op: Operation) -> str:
        met = ", ".join(sorted(self._waiting.get(op.letter, ())))
        doing = op.next.text if op.next else "its code before the first statement"
        after = f", waits for {met}" if met else ""
        return f"{op.name} has not moved for {STUCK_SECONDS_MAX:g} s: {doing}{after}"

    def _note_arrivals(self) -> None:
        for letter, row in list(self._open_rows.items()):
            op = self._operations[letter]
            if op.is_running:
                self._note_waiting(row, self._waiting[letter])
            elif op.state is State.BUSY:
                self._tries[letter] = self._transactions_ended
                self._note_waiting(row, {"the writer"})
                del self._open_rows[letter]
            else:
                self._note_arrival(op, row)
                del self._open_rows[letter]

    def _note_waiting(self, row: Row, met: set[str]) -> None:
        if row.statement is not None:
            self._note_wait(row.statement, met)
        row.result = "waits for " + ", ".join(sorted(met))

    def _note_arrival(self, op: Operation, row: Row) -> None:
        statement = row.statement
        if statement is None:
            return
        self._arrived.add(op.letter)
        if self._footprints is not None:
            self._note_footprint(self._footprints, op, statement)
        if row.result:
            self.schedule.rows.append(Row(op.letter, "… continues", statement))
        self.schedule.deadlocks += is_deadlock(statement.error)
        if statement.ends_transaction or op.state is State.ENDED:
            self._transactions_ended += 1

    def _note_footprint(self, footprints: Footprints, op: Operation, statement: Statement) -> None:
        own = footprints.note(
            op.letter,
            statement,
            in_transaction=op.in_transaction,
            one_snapshot=self._database.one_writer and not op.holds_write_lock,
        )
        own = own if statement.error is None else EVERYTHING
        self._stepped[op.letter] = self._stepped.get(op.letter, NOTHING_TOUCHED) | own

    def _end_all(self) -> None:
        """After a problem, leave no operation in the database holding a lock."""
        self._held_lock.release()
        deadline = time.monotonic() + END_SECONDS_MAX
        while alive := [op for op in self._all if op.state is not State.ENDED]:
            for op in alive:
                if not op.is_running:
                    op.kill()
                elif time.monotonic() > deadline:
                    self._database.cut_off(op)
            self._moved_in_time()
            if time.monotonic() > deadline + END_SECONDS_MAX:
                raise Stuck("; ".join(map(self._describe, alive)))

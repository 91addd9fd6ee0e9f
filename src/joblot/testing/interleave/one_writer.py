"""The cost of a switch where a writer's transaction counts as one step.

When each statement is a step, an operation that is preempted inside such a transaction makes the
next writer wait, and switching away from a waiting operation is free. When the transaction is one
step, an operation can only be preempted before it; the switch is then free as well, once another
operation would write. Otherwise a bound on the switches would hide outcomes that it does not hide
statement by statement.
"""

from __future__ import annotations

from collections.abc import Sequence

from joblot.testing.interleave.database import Database, Performer


class OneWriter:
    def __init__(self, operations: Sequence[Performer], database: Database) -> None:
        self._operations = operations
        self._database = database
        self._left: list[Performer] = []  # preempted before their transactions; others only read

    def would_block(self, last: Performer | None) -> bool:
        """True if the last to move would wait now, had one of the preempted operations begun."""
        if last is None or not self._database.would_write(last):
            return False
        return any(one is not last for one in self._left)

    def note(self, last: Performer | None, taken: Performer, *, preempted: bool) -> None:
        """`taken` is about to move; `preempted` if `last` could have continued, which costs 1.

        The cost is for preempting `last` before its transaction. If `last` would have to wait for
        one that had begun, the cost is for preempting that one, which was free so far.
        """
        if self._database.would_write(taken):
            self._left = []
        elif preempted and last is not None and self._database.would_write(last):
            self._left = [one for one in self._operations if self._begins_to_write(one)]

    def _begins_to_write(self, op: Performer) -> bool:
        begins = op.next is not None and op.next.plain.startswith("BEGIN")
        return begins and self._database.would_write(op)

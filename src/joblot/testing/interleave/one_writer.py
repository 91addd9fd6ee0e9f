"""What a turn costs where a writer's transaction is one step.

Statement by statement, whoever is left inside such a transaction makes the next writer wait, and to
go on elsewhere from there is free. In one step nobody is left inside it, only before it: then the
turn passes on for free as well, once somebody else would write. Otherwise a bound on the switches
would hide ends that it does not hide statement by statement.
"""

from __future__ import annotations

from collections.abc import Sequence

from joblot.testing.interleave.database import Database, Performer


class OneWriter:
    def __init__(self, operations: Sequence[Performer], database: Database) -> None:
        self._operations = operations
        self._database = database
        self._left: list[Performer] = []  # before their transactions, while others only read

    def would_block(self, last: Performer | None) -> bool:
        """True if who moved last would wait now, had one of those that were left begun."""
        if last is None or not self._database.would_write(last):
            return False
        return any(one is not last for one in self._left)

    def note(self, last: Performer | None, taken: Performer, *, preempted: bool) -> None:
        """`taken` is about to move; `preempted` if `last` could have gone on and pays for it.

        What is paid is that `last` was left before its transaction; or, if it would wait for any
        that had begun, that one of these was left, for which nothing was paid yet.
        """
        if self._database.would_write(taken):
            self._left = []
        elif preempted and last is not None and self._database.would_write(last):
            self._left = [one for one in self._operations if self._begins_to_write(one)]

    def _begins_to_write(self, op: Performer) -> bool:
        begins = op.next is not None and op.next.plain.startswith("BEGIN")
        return begins and self._database.would_write(op)

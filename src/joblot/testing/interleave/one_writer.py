"""What a turn costs where a writer's transaction is one step.

Statement by statement, whoever is left inside such a transaction makes the next writer wait, and to
go on from there is free. In one step nobody is left inside it, only before it: then the turn comes
back for free as well, as soon as somebody else would write. Otherwise a bound on the switches
would hide ends that it does not hide statement by statement.
"""

from __future__ import annotations

from joblot.testing.interleave.database import Database, Performer


class OneWriter:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._left: Performer | None = None  # before its transaction, while others only read

    def would_block(self, last: Performer | None) -> bool:
        """True if who moved last would wait now, had the one that was left begun."""
        left = self._left
        return last is not None and left not in {None, last} and self._database.would_write(last)

    def note(self, last: Performer | None, taken: Performer, *, preempted: bool) -> None:
        """`taken` is about to move; `preempted` if `last` could have gone on and pays for it."""
        if preempted and last is not None and self._begins_to_write(last):
            self._left = last
        if taken is self._left or self._database.would_write(taken):
            self._left = None

    def _begins_to_write(self, op: Performer) -> bool:
        begins = op.next is not None and op.next.text.startswith("BEGIN")
        return begins and self._database.would_write(op)

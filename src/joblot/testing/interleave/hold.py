"""A lock of the explorer's own, which makes one statement wait while it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from joblot.testing.interleave.database import Database
from joblot.testing.interleave.operation import Operation


@dataclass(frozen=True, slots=True)
class Hold:
    """Make one statement of an operation wait *while it runs*, with the snapshot it began with.

    Before the first statement of `operation` that matches the pattern `matching`, the explorer runs
    the SQL `lock` on its own connection (a row: `SELECT … FOR UPDATE`, a table: `LOCK TABLE …`, or
    an advisory lock that a trigger of the test takes); the statement then waits for it. When to
    release the lock is a choice like any other: every moment is tried. PostgreSQL only.
    """

    operation: str
    matching: str
    lock: str


class HeldLock:
    """The lock of a `Hold` in one run: taken at most once, then released."""

    def __init__(self, hold: Hold | None, database: Database) -> None:
        self._hold = hold
        self._database = database
        self.is_taken = False

    def take_before(self, op: Operation) -> bool:
        """Take it if the operation's next statement is the one to hold, and it is free."""
        hold = self._hold
        if hold is None or op.next is None or op.name != hold.operation:
            return False
        if not re.search(hold.matching, op.next.sql) or not self._database.hold(hold.lock):
            return False
        self._hold, self.is_taken = None, True
        return True

    def release(self) -> None:
        if self.is_taken:
            self.is_taken = False
            self._database.release()

"""Another report, under way while one is made: neither may wait for the other (invariant 9).

One actor acts at a time, so the other report is only what it would hold: the leases and outcomes
of others, and that the job stays. Not the tally slots, which may be shared for a commit's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.transactions import alias, connection

WAIT_SECONDS_MAX = 5  # of a report that waits; then the server takes the rival's locks away
ROWS_MAX = 100  # of each table: in a large job, some stand for all

LOCKS = f"""
    SELECT 1 FROM joblot_lease
    WHERE job_id = %(job)s AND token <> %(token)s LIMIT {ROWS_MAX} FOR UPDATE;
    SELECT 1 FROM joblot_outcome
    WHERE job_id = %(job)s AND number <> ALL (%(numbers)s) LIMIT {ROWS_MAX} FOR UPDATE;
    SELECT 1 FROM joblot_job WHERE id = %(job)s FOR KEY SHARE
"""


class Rival:
    """Has a connection of its own, on PostgreSQL; SQLite has one writer anyway."""

    def __init__(self) -> None:
        self.waited_for = False
        self._connection: BaseDatabaseWrapper | None = None

    @contextmanager
    def beside(self, job_id: int, token: str, numbers: Sequence[int]) -> Iterator[None]:
        """Inside the block, all is held that a report of other items through others would hold.

        If what was done inside had to wait for it, `waited_for` is set afterwards.
        """
        if connection().vendor != "postgresql":
            yield
            return
        self._hold({"job": job_id, "token": token, "numbers": list(numbers)})
        try:
            yield
        finally:
            self.waited_for = not self._give_back()

    def _hold(self, of: Mapping[str, Any]) -> None:
        if self._connection is None:
            self._connection = connections[alias()].copy()
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{WAIT_SECONDS_MAX}s'")
            for lock in LOCKS.split(";"):
                cursor.execute(lock, of)

    def _give_back(self) -> bool:
        """False if the server has taken it away meanwhile."""
        assert self._connection
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except Error:
            self.leave()
            return False
        return True

    def leave(self) -> None:
        held, self._connection = self._connection, None
        if held is not None:
            with suppress(Error):
                held.close()

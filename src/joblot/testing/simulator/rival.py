"""A concurrent report during another: neither may wait for the other (invariant 9).

Only one actor acts at a time, so the rival only takes the locks that such a report would hold: on
other leases and outcomes, and on the job's existence. It does not lock tally slots, for which a
report may wait as long as a commit takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.transactions import alias, connection

WAIT_SECONDS_MAX = 5  # for a report that waits; then the server ends the rival's transaction
ROWS_MAX = 100  # per table: in a large job, a sample is enough

LOCKS = f"""
    SELECT 1 FROM joblot_lease
    WHERE job_id = %(job)s AND token <> %(token)s LIMIT {ROWS_MAX} FOR UPDATE;
    SELECT 1 FROM joblot_outcome
    WHERE job_id = %(job)s AND number <> ALL (%(numbers)s) LIMIT {ROWS_MAX} FOR UPDATE;
    SELECT 1 FROM joblot_job WHERE id = %(job)s FOR KEY SHARE
"""


class Rival:
    """Has its own connection, on PostgreSQL only; SQLite has one writer anyway."""

    def __init__(self) -> None:
        self.waited_for = False
        self._connection: BaseDatabaseWrapper | None = None

    @contextmanager
    def beside(self, job_id: int, token: str, numbers: Sequence[int]) -> Iterator[None]:
        """Inside the block, hold the locks of a report of other items through other leases.

        If the block had to wait for them, `waited_for` is set afterwards.
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
        """Release the locks; False if the server has ended the transaction meanwhile."""
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

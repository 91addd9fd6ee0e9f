"""PostgreSQL: the server reports which connection waits for which."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import PipelineStatus, TransactionStatus

from joblot.testing.interleave.database import HOLD, Performer
from joblot.testing.interleave.psycopg_watch import WatchedConnection
from joblot.testing.interleave.steps import Gates
from joblot.testing.interleave.wrapper import watched

# After waiting this long, a connection checks for a deadlock. Short, so that a deadlock costs a
# schedule almost nothing; and over before the next operation moves, so that the error always goes
# to the operation that closes the cycle, and a schedule can be replayed.
DEADLOCK_TIMEOUT_MS = 1
WAIT_SETTLES_SECONDS = 0.003
GONE_SECONDS_MAX = 10.0

WAITS = "SELECT pid, pg_catalog.pg_blocking_pids(pid) FROM unnest(%s::int[]) AS pid"
# A process that waits for a lock does not notice that its client is gone.
END_AT_STEP = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE pid = %s AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""
ALIVE = "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = %s"

# The connection parameters that only Django can use.
DJANGO_ONLY = {"cursor_factory", "context", "application_name"}


class PostgresDatabase:
    one_writer = False

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._model = connections[alias]
        self._monitor = plain_connection(self._model, "interleave monitor")
        self._holder = plain_connection(self._model, "interleave hold")
        self._keeper = plain_connection(self._model, "interleave steps")
        self._gates = Gates(self._keeper)
        self._waits_since: dict[tuple[str, int, frozenset[int]], float] = {}

    def open(self, operation: Performer) -> BaseDatabaseWrapper:
        def watch(raw: Any) -> None:
            quicken_deadlocks(raw)
            WatchedConnection.watch(raw, operation, self._gates)
            operation.backend_id = raw.info.backend_pid

        options = {"application_name": f"interleave {operation.letter}"}
        return watched(self._model, watch, options)

    def is_open(self, raw: Any) -> bool:
        return not raw.closed

    def in_transaction(self, raw: Any) -> bool:
        if raw.closed:
            return False
        # Inside a pipeline the server does not report its state before the next sync.
        status, pipeline = raw.pgconn.transaction_status, raw.pgconn.pipeline_status
        return bool(status != TransactionStatus.IDLE or pipeline != PipelineStatus.OFF)

    def would_wait(self, operation: Performer, others: Sequence[Performer]) -> set[str]:
        return set()  # waiting itself has effects here: a place in the queue, an old snapshot

    def would_write(self, operation: Performer) -> bool:
        return False  # many may write at once

    def waits(
        self, running: Sequence[Performer], everybody: Sequence[Performer]
    ) -> dict[str, set[str]]:
        """A wait counts once the server has also checked it for a deadlock.

        One at a step is none: the operation is about to stop.
        """
        letters = {op.backend_id: op.letter for op in everybody}
        letters[self._holder.info.backend_pid] = HOLD
        by_pid = {op.backend_id: op for op in running}
        rows = self._monitor.execute(WAITS, [list(by_pid)]).fetchall()
        now = time.monotonic()
        met = {
            (by_pid[pid].letter, id(by_pid[pid].next), frozenset(blockers))
            for pid, blockers in rows
            if blockers and self._gates.process not in blockers
        }
        self._waits_since = {wait: self._waits_since.get(wait, now) for wait in met}
        return {
            letter: {letters.get(blocker, f"process {blocker}") for blocker in blockers}
            for (letter, _, blockers), since in self._waits_since.items()
            if now - since >= WAIT_SETTLES_SECONDS
        }

    def wait_until_gone(self, operation: Performer) -> None:
        deadline = time.monotonic() + GONE_SECONDS_MAX
        while self._monitor.execute(ALIVE, [operation.backend_id]).fetchone():
            # It may be about to wait at its step, and would then wait forever.
            self._monitor.execute(END_AT_STEP, [operation.backend_id])
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server still runs the connection of {operation.letter}")

    def cut_off(self, operation: Performer) -> None:
        self._monitor.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [operation.backend_id])

    def hold(self, lock: str) -> bool:
        self._holder.execute("BEGIN; SET LOCAL lock_timeout = '1ms'")
        try:
            self._holder.execute(lock.encode())
        except psycopg.errors.LockNotAvailable:
            self.release()
            return False
        return True

    def release(self) -> None:
        self._holder.execute("ROLLBACK")

    def close(self) -> None:
        self._monitor.close()
        self._holder.close()
        self._keeper.close()


def plain_connection(model: BaseDatabaseWrapper, name: str) -> psycopg.Connection[Any]:
    """Another connection, without Django: no pool, no wrappers, only explicit transactions."""
    given = model.get_connection_params()
    plain = {key: value for key, value in given.items() if key not in DJANGO_ONLY}
    return psycopg.connect(**plain, autocommit=True, application_name=name)


def quicken_deadlocks(raw: psycopg.Connection[Any]) -> None:
    """Only a superuser may do this; otherwise a deadlock takes the server's default time (1 s)."""
    try:
        raw.execute(f"SET deadlock_timeout = '{DEADLOCK_TIMEOUT_MS}ms'".encode())
        raw.commit()
    except psycopg.errors.InsufficientPrivilege:
        raw.rollback()

"""A time limit for adopters' code that runs inside a transaction of the ledger.

A thread can't be killed, so at the limit its transaction is ended instead: its locks are released,
and whatever the code writes later is refused. One thread per process watches all blocks; as long as
none reaches its limit, entering and leaving costs two dictionary operations.

Invariant: later writes are refused before the transaction is ended, so that none is committed by a
connection that is then in autocommit mode. `needs_rollback` makes Django refuse every statement
until the outermost block has been left. A statement that has already passed this check fails too:
PostgreSQL's socket is shut down, SQLite's connection is set read-only.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.errors import Unavailable
from joblot.ledger.db.base import INTERRUPT_SECONDS
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import connection

logger = logging.getLogger("joblot.ledger")


@dataclass(slots=True, eq=False)
class Running:
    """A running block of adopters' code; `is_ended` once its transaction was ended at the limit."""

    connection: BaseDatabaseWrapper
    what: str
    seconds: float
    ends_at: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_ended: bool = False
    is_over: bool = False


class _Watchdog:
    """Ends blocks that have reached their limit, in a thread that the first block starts."""

    def __init__(self) -> None:
        self._running: dict[int, Running] = {}
        self._changed = threading.Condition(threading.Lock())
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    def enter(self, one: Running) -> None:
        with self._changed:
            self._running[id(one)] = one
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._watch, name="joblot-limit", daemon=True
                )
                self._thread.start()
            elif one.ends_at < self._wakes_at:
                self._changed.notify()

    def leave(self, one: Running) -> None:
        with self._changed:
            self._running.pop(id(one), None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                due = self._due_after_sleep()
            for one in due:
                _end(one)

    def _due_after_sleep(self) -> list[Running]:
        """Sleep until the earliest limit of the blocks now running; return those that are due."""
        first = min((one.ends_at for one in self._running.values()), default=None)
        self._wakes_at = float("inf") if first is None else first
        self._changed.wait(None if first is None else max(0.0, first - time.monotonic()))
        now = time.monotonic()
        due = [one for one in self._running.values() if one.ends_at <= now]
        for one in due:  # due again, until the block is left
            one.ends_at = now + INTERRUPT_SECONDS
        return due


_watchdog = _Watchdog()  # Threads: replaced in a forked child, before it has threads


def _forget_parent() -> None:
    global _watchdog  # noqa: PLW0603 (a fork has none of its parent's threads)
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_forget_parent)


@contextmanager
def ended_after(seconds: float, what: str) -> Iterator[Running]:
    """End the transaction of the ledger's connection if the block takes longer than `seconds`.

    Enter it inside the transaction. Raises Unavailable if the block took too long, however it was
    left; `what` names it in the log.
    """
    one = Running(connection(), what, seconds, time.monotonic() + seconds)
    watchdog = _watchdog
    watchdog.enter(one)
    try:
        yield one
    except Exception as error:
        if _leave(one):
            raise _too_long(one) from error
        raise
    finally:
        _leave(one)
        watchdog.leave(one)
    if one.is_ended:
        raise _too_long(one)


def seconds_within(seconds: float) -> float:
    """The limit on this database; on SQLite, less than others wait for the write lock."""
    conn = connection()
    return dialect_of(conn).seconds_within(conn, seconds)


def _leave(one: Running) -> bool:
    """Mark the block as over, so that it is not ended from now on; True if it already was."""
    with one.lock:
        if one.is_ended and not one.is_over:
            one.connection.needs_rollback = True  # until the outermost block has been left
            dialect_of(one.connection).restore(one.connection)
        one.is_over = True
        return one.is_ended


def _too_long(one: Running) -> Unavailable:
    return Unavailable(
        f"{one.what} took longer than {one.seconds:g} s, so its transaction was ended; nothing was "
        "done, try again later"
    )


def _end(one: Running) -> None:
    """End the block's transaction, unless the block is over by now."""
    with one.lock:
        if one.is_over:
            return
        if one.is_ended:
            dialect_of(one.connection).interrupt(one.connection)
            return
        one.is_ended = True
        one.connection.needs_rollback = True
        try:
            dialect_of(one.connection).end_transaction(one.connection)
        except Exception:
            logger.exception("%s: its transaction could not be ended", one.what)
        else:
            logger.error("%s took longer than %g s; its transaction ended", one.what, one.seconds)

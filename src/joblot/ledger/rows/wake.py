"""Wakes the processes that wait for work, after something has become claimable.

A hint, sent after the commit and in a transaction of its own: NOTIFY takes a lock that all
notifying transactions of a database share, so a transaction that settles never sends it. If it is
lost, waiting callers find the work at their next poll.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error, transaction

from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.rows.job import stages_of

logger = logging.getLogger("joblot.ledger")

CHANNEL = "joblot_work"
_JOBS_MAX = 4_096


def note_work() -> None:
    """Wake all that wait for work, now or when this transaction commits; once per transaction."""
    if not _is_needed():
        return
    conn = connection()
    if not conn.in_atomic_block:
        _deliver()
        return
    inside = set(conn.savepoint_ids)
    if not any(one[1] is _deliver and one[0] <= inside for one in conn.run_on_commit):
        transaction.on_commit(_deliver, using=alias())


def note_passed_on(job_id: int | None) -> None:
    """The same after a report, whose successes may have been queued for the next stage.

    Raises nothing: the report is committed.
    """
    if job_id is None or not _is_needed():
        return
    try:
        has_next = _has_next_stage(job_id)
    except Error:
        has_next = True
    if has_next:
        note_work()


def send(payload: str = "") -> None:
    """Notify all listeners. A failure is logged, not raised: the commit before it stands."""
    conn = connection()
    if conn.in_atomic_block:
        return
    try:
        fetch(conn, "rows/wake", payload=payload)
    except Error as error:
        logger.info("nobody was notified of new work; it is found by polling: %s", error)


@contextmanager
def delivered_by(deliver: Callable[[], None] | None) -> Iterator[None]:
    """Inside the block, this process calls `deliver` in place of `send`, in any thread.

    None: nobody is notified.
    """
    global _deliver_by  # noqa: PLW0603 (of the process)
    before, _deliver_by = _deliver_by, deliver
    try:
        yield
    finally:
        _deliver_by = before


# Threads: a cache of what never changes, each entry written by one assignment.
_known: dict[tuple[str, int], bool] = {}


def _has_next_stage(job_id: int) -> bool:
    key = alias(), job_id
    if (known := _known.get(key)) is None:
        if len(_known) >= _JOBS_MAX:
            _known.clear()
        known = _known[key] = len(stages_of(job_id)) > 1
    return known


def _is_needed() -> bool:
    return _deliver_by is not None and dialect_of(connection()).has_notifications


def _deliver() -> None:
    if _deliver_by is not None:
        _deliver_by()


_sending = threading.Lock()  # Threads: replaced only after a fork, by the child's one thread
_waits = False  # Threads: a hint, by which one that waits to send covers all that come meanwhile


def _send_once() -> None:
    """Send, unless another thread is about to: its notification follows this commit, too."""
    global _waits  # noqa: PLW0603 (of the process)
    if _waits:
        return
    _waits = True
    try:
        with _sending:
            _waits = False
            send()
    finally:
        _waits = False


def _reset_after_fork() -> None:
    """A lock held by another thread stays locked in a fork."""
    global _sending, _waits
    _sending, _waits = threading.Lock(), False


os.register_at_fork(after_in_child=_reset_after_fork)

_deliver_by: Callable[[], None] | None = _send_once  # Threads: replaced by one assignment

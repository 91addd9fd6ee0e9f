"""What each worker has reported, per minute, for people: how much, how much of it failed, and the
last error.

A report only adds to this process's memory. Every `worker_seen_seconds` the process writes what it
has gathered, for all workers in one statement, in a transaction of its own. So the figures are up
to that late, and a process that is killed loses what it has not written: they are never too high.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import execute, fetch, moment
from joblot.ledger.db.transactions import alias, connection, durable, repeated
from joblot.models import NO_OWNER, Lease

logger = logging.getLogger("joblot.ledger")

MINUTE_SECONDS = 60
SHOWN_MINUTES = 60  # older figures are removed
LOCK_SECONDS_MAX = 1.0  # that writing waits for another process; the figures are not worth more
LATE_INTERVALS = 2  # after which a report writes them itself, in a process that does not sweep
ERROR_CHARS_MAX = 300
LEASES_MAX = 1_000  # of which the figures are gathered before they are written

Worker = tuple[int, str]


@dataclass(slots=True)
class Reported:
    """What was reported through a lease, or by a worker; `error` is the last one."""

    succeeded: int = 0
    failed: int = 0
    error: str | None = None

    def add(self, succeeded: int, failed: int, error: str | None) -> None:
        self.succeeded += succeeded
        self.failed += failed
        self.error = error or self.error


@dataclass(slots=True)
class _Gathered:
    """By lease: its worker is read once these are written. Dicts keep the order of the last."""

    since: float
    leases: dict[UUID, Reported] = field(default_factory=dict)


_lock = threading.Lock()
# Threads: read and changed under the lock only, by database.
_gathered: dict[str, _Gathered] = {}


def gather(token: UUID, *, succeeded: int = 0, failed: int = 0, error: str | None = None) -> None:
    """Remember what was recorded of a report: successes, and failures, also those to be retried."""
    with _lock:
        mine = _gathered.setdefault(alias(), _Gathered(time.monotonic()))
        known = mine.leases.pop(token, None) or Reported()
        known.add(succeeded, failed, error and error[:ERROR_CHARS_MAX])
        mine.leases[token] = known
        is_full = len(mine.leases) >= LEASES_MAX
    write(older_than=0.0 if is_full else LATE_INTERVALS * limits().worker_seen_seconds)


def write(*, older_than: float | None = None) -> None:
    """Write what was gathered, if it began so many seconds ago (by default `worker_seen_seconds`).

    A failure is logged, and what could not be written is dropped: it may have been written.
    """
    seconds = limits().worker_seen_seconds if older_than is None else older_than
    with _lock:
        mine = _gathered.get(alias())
        if mine is None or time.monotonic() - mine.since < seconds:
            return
        del _gathered[alias()]
    try:
        _write(mine.leases)
    except (DatabaseError, JoblotError) as error:
        logger.warning("figures of workers were lost, of %d leases: %s", len(mine.leases), error)


def forget() -> None:
    """Forget what was gathered, when this process is pointed at another database."""
    with _lock:
        _gathered.clear()


@repeated
def this_minute() -> int:
    """The number of the current minute since 1970, by the database's clock."""
    ((now,),) = fetch(connection(), "db/clock")
    return minute_of(moment(now))


def minute_of(at: datetime) -> int:
    return int(at.timestamp() // MINUTE_SECONDS)


@repeated
def _write(leases: Mapping[UUID, Reported]) -> None:
    """Locks the workers' rows of this minute, by owner and instance."""
    if found := _by_worker(leases):
        rows = [_row(worker, found[worker]) for worker in sorted(found)]
        minute = this_minute()
        with durable() as conn:
            dialect_of(conn).limit_lock_wait(conn, LOCK_SECONDS_MAX)
            execute(conn, "rows/add_worker_minute", minute=minute, rows=json.dumps(rows))


def _by_worker(leases: Mapping[UUID, Reported]) -> dict[Worker, Reported]:
    """Without unnamed workers, and leases that are gone with their job."""
    rows = Lease.ledger.using(alias()).filter(pk__in=list(leases)).exclude(worker="")
    of = {token: (owner, name) for token, owner, name in rows.values_list("pk", "owner", "worker")}
    found: dict[Worker, Reported] = {}
    for token, one in leases.items():
        if token in of:
            owner, name = of[token]
            worker = found.setdefault((owner or NO_OWNER, name), Reported())
            worker.add(one.succeeded, one.failed, one.error)
    return found


def _row(worker: Worker, one: Reported) -> dict[str, Any]:
    owner, instance = worker
    return {
        "owner": owner,
        "instance": instance,
        "succeeded": one.succeeded,
        "failed": one.failed,
        "error": one.error,
    }

"""Reports that arrive in one process while a commit is in flight share the next one.

Each is judged and answered for itself, after the commit, as `report.report` does. What is shared is
the statement, the wait for the disk, and the look. A report that can't share goes alone: with a
hook, on SQLite, with retryable failures, through a lease that somebody holds, or because what was
shared failed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot import faults
from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, knowing, repeated, require_durable
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report import report
from joblot.ledger.report.pending_result import Posted, rows_of
from joblot.wire import ItemReceipt, Result

logger = logging.getLogger("joblot.ledger")


def report(token: str | UUID, results: Iterable[Result | Mapping[str, Any]]) -> list[ItemReceipt]:
    """As `report.report`: the same arguments, answers and errors, for servers with many threads."""
    known, posted = report.uuid_of(token), report.prepare(list(results))
    if known is None or not report.at_once_is_possible():
        return report.settle_prepared(known, posted)
    first, *repeats = report.rounds(posted) or [[]]
    simple = report.simple_among(first)
    if not simple or repeats:
        return report.settle_prepared(known, posted)
    require_durable(connection())
    ride = _carriage(alias()).settle(known, simple)
    if not ride.settled:
        return report.settle_prepared(known, posted)
    with knowing(lambda: report.recorded(posted)):
        left = [one for one in first if one.receipt is None]
        job_id = report.settle_judged(known, left) if left else ride.to_look_at
        if job_id is not None:
            reconcile(job_id)
    return [one.answer() for one in posted]


@dataclass(slots=True, eq=False)
class _Passenger:
    """A report that waits to be settled. `leads` once it is its turn to settle what waits.

    `to_look_at` is a job that may be due and that nobody could look at for all.
    """

    token: UUID
    posted: list[Posted]
    rows: str
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    settled: bool = False
    to_look_at: int | None = None


class _Carriage:
    """The reports of this process that go to one database. One batch is under way at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Passenger] = []
        self._under_way = False

    def settle(self, token: UUID, posted: list[Posted]) -> _Passenger:
        """Wait for a shared statement; `settled` says whether it did what it could for these."""
        mine = _Passenger(token, posted, rows_of(posted))
        with self._lock:
            self._waiting.append(mine)
            mine.leads = not self._under_way
            self._under_way = True
        if not mine.leads:
            mine.woken.wait()
        if mine.leads:
            self._lead()
        return mine

    def _lead(self) -> None:
        """Settle what waits, this thread's own report with it, and let the next one lead.

        Who leads has waited longest, and so is part of what he settles.
        """
        batch = self._take()
        try:
            _settle_together(batch)
        except (JoblotError, DatabaseError) as error:
            logger.debug("%d reports go alone: %s", len(batch), error)
        finally:
            self._hand_over(batch)

    def _take(self) -> list[_Passenger]:
        """The longest waiting, one of each lease, for a repeat is judged after the first."""
        with self._lock:
            batch: dict[UUID, _Passenger] = {}
            for one in self._waiting:
                if len(batch) < limits().reports_shared_max:
                    batch.setdefault(one.token, one)
            taken = set(map(id, batch.values()))
            self._waiting = [one for one in self._waiting if id(one) not in taken]
        return list(batch.values())

    def _hand_over(self, batch: list[_Passenger]) -> None:
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._under_way = following is not None
            if following is not None:
                following.leads = True
        for one in batch if following is None else [*batch, following]:
            one.woken.set()


# Threads: read and changed under the lock only; a carriage has a lock of its own.
_carriages: dict[str, _Carriage] = {}
_carriages_lock = threading.Lock()


def _carriage(using: str) -> _Carriage:
    with _carriages_lock:
        return _carriages.setdefault(using, _Carriage())


def _settle_together(batch: list[_Passenger]) -> None:
    jobs = _settle_in_one_statement(batch)
    for one in batch:
        one.settled, one.to_look_at = True, jobs.get(one.token)
    faults.point("report: committed, not looked")
    for job_id in sorted(set(jobs.values())):
        reconcile(job_id)
    for one in batch:
        one.to_look_at = None


@repeated
def _settle_in_one_statement(batch: list[_Passenger]) -> dict[UUID, int]:
    """Settle what can be settled; returns the jobs that may now be due, by the lease."""
    reports = ",".join(f'{{"token":"{one.token}","results":{one.rows}}}' for one in batch)
    rows = fetch(
        connection(),
        "report/settle_shared_if_held",
        reports=f"[{reports}]",
        tokens=[one.token for one in batch],
    )
    by_token = {one.token: one for one in batch}
    for token, _, moved in rows:
        report.count_moved(by_token[token].posted, moved)
    return {token: int(job_id) for token, job_id, _ in rows}

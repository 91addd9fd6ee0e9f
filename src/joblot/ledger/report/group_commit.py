"""Group commit: reports that arrive in one process while a commit is in flight share the next one.

They share the statement and the wait for the disk. Each is judged, answered and refused by itself,
as `report` does, and is answered right after the commit; the thread that led then reconciles the
jobs that may be due. A report goes alone if another transaction holds its lease, if the shared
commit failed, and for all that is not settled at once: with a hook, on SQLite, a retryable failure.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.transactions import alias
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report.pending_result import PendingResult, rows_of
from joblot.ledger.report.report import report_by, settle_alone
from joblot.ledger.report.write import Settled, settle_together
from joblot.wire import ItemReceipt, Result

logger = logging.getLogger("joblot.ledger")


def report_grouped(
    token: str | UUID, results: Iterable[Result | Mapping[str, Any]]
) -> list[ItemReceipt]:
    """As `report`: the same arguments, answers and errors, for servers with many threads."""
    return report_by(_group(alias()).settle, token, results)


@dataclass(slots=True, eq=False)
class PendingReport:
    """Simple results of a lease that wait to be settled. `leads` once it is its thread's turn.

    `failed`: what was shared failed, for all. Otherwise it is `settled`, or its lease was held.
    """

    token: UUID
    rows: str
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    failed: bool = False
    settled: Settled | None = None

    def answer(self) -> Settled | None:
        """What was settled; only the thread that has led has a job to reconcile."""
        return (
            self.settled if self.leads or not self.settled else replace(self.settled, job_id=None)
        )


class GroupCommit:
    """The reports of this process to one database. One batch is in flight at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[PendingReport] = []
        self._under_way = False

    def settle(self, token: UUID, pending: Sequence[PendingResult]) -> Settled | None:
        """Settle them in a shared commit; None if they are to be judged instead."""
        mine = self.join(token, pending)
        if not mine.leads:
            mine.woken.wait()
        if mine.leads:
            self.lead(mine)
        return settle_alone(token, pending) if mine.failed else mine.answer()

    def join(self, token: UUID, pending: Sequence[PendingResult]) -> PendingReport:
        """Wait for the next commit; the report that `leads` makes it."""
        mine = PendingReport(token, rows_of(pending))
        with self._lock:
            self._waiting.append(mine)
            mine.leads = not self._under_way
            self._under_way = True
        return mine

    def lead(self, mine: PendingReport) -> None:
        """Settle the waiting reports, this thread's own included, and let the next one lead.

        The leader has waited longest, so its report is part of the batch.
        """
        batch = self._take()
        try:
            _settle_together(batch)
        finally:
            self._hand_over(batch)
        own = mine.settled.job_id if mine.settled else None
        _reconcile({one.settled.job_id for one in batch if one.settled} - {None, own})

    def _take(self) -> list[PendingReport]:
        """The longest waiting, one per lease: a repeat is judged after the first."""
        with self._lock:
            batch: dict[UUID, PendingReport] = {}
            for one in self._waiting:
                if len(batch) < limits().reports_shared_max:
                    batch.setdefault(one.token, one)
            taken = set(map(id, batch.values()))
            self._waiting = [one for one in self._waiting if id(one) not in taken]
        return list(batch.values())

    def _hand_over(self, batch: Sequence[PendingReport]) -> None:
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._under_way = following is not None
            if following is not None:
                following.leads = True
        for one in batch if following is None else [*batch, following]:
            one.woken.set()


def _settle_together(batch: Sequence[PendingReport]) -> None:
    try:
        settled = settle_together({one.token: one.rows for one in batch})
    except (JoblotError, DatabaseError) as error:
        logger.debug("%d reports go alone: %s", len(batch), error)
        for one in batch:
            one.failed = True
        return
    for one in batch:
        one.settled = settled.get(one.token)


def _reconcile(jobs: Iterable[int | None]) -> None:
    """For reports that are already answered; if it fails, the sweep reconciles the job."""
    for job_id in jobs:
        try:
            if job_id is not None:
                reconcile(job_id)
        except (JoblotError, DatabaseError):
            about = {"job": job_id}
            logger.warning("job %s is left to the sweep", job_id, exc_info=True, extra=about)


# Threads: read and changed under the lock only; each group has a lock of its own.
_groups: dict[str, GroupCommit] = {}
_groups_lock = threading.Lock()  # Threads: replaced in a child of a fork, before it has threads


def _group(using: str) -> GroupCommit:
    with _groups_lock:
        return _groups.setdefault(using, GroupCommit())


def _forget_parent() -> None:
    """A fork has none of its parent's threads: none would lead, or release a lock."""
    global _groups_lock  # noqa: PLW0603 (a lock that another thread held is never released)
    _groups_lock = threading.Lock()
    _groups.clear()


os.register_at_fork(after_in_child=_forget_parent)

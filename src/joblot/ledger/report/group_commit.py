"""Group commit: reports that arrive in one process while a commit is in flight share the next one.

They share the statement and the wait for the disk. Each is judged, answered and refused by itself,
as `report` does, and is answered right after the commit; the thread that led then reconciles the
jobs that may be due. A report goes alone if another transaction holds its lease, if the shared
commit failed, and for all that is not settled at once: with a hook, on SQLite, a retryable failure.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.transactions import alias
from joblot.ledger.group import Group, Groups, Member
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report import hooks
from joblot.ledger.report.at_once import goes_in_parts, may_be_due, settle_alone
from joblot.ledger.report.pending_result import PendingResult, rows_of
from joblot.ledger.report.report import report_by
from joblot.ledger.report.write import Settled, counted, settle_together
from joblot.ledger.rows.wake import note_passed_on
from joblot.wire import ItemReceipt, Result

logger = logging.getLogger("joblot.ledger")


class SettleAlone(Protocol):
    """How a report is settled that has a commit for itself: as `settle_alone`."""

    def __call__(
        self, token: UUID, pending: Sequence[PendingResult], *, shared: bool = False
    ) -> Settled | None: ...


def report_grouped(
    token: str | UUID, results: Iterable[Result | Mapping[str, Any]]
) -> list[ItemReceipt]:
    """As `report`: the same arguments, answers and errors, for servers with many threads."""
    return report_by(group_of(alias()).settle, token, results)


@dataclass(slots=True, eq=False)
class PendingReport(Member):
    """Simple results of a lease that wait to be settled.

    What is not `settled` by the shared commit goes alone: the commit failed, or left the lease out.
    """

    token: UUID
    pending: Sequence[PendingResult]
    alone: SettleAlone = settle_alone
    settled: Settled | None = None


class GroupCommit(Group[PendingReport]):
    """The reports of this process to one database."""

    def settle(
        self, token: UUID, pending: Sequence[PendingResult], alone: SettleAlone = settle_alone
    ) -> Settled | None:
        """Settle them in a shared commit, or else `alone`; None if they are to be judged."""
        if goes_in_parts(token):
            return alone(token, pending)
        mine = self.join(token, pending, alone)
        if self._is_to_lead(mine):
            self.lead()
        return mine.settled or alone(token, pending)

    def join(
        self, token: UUID, pending: Sequence[PendingResult], alone: SettleAlone = settle_alone
    ) -> PendingReport:
        """Wait for the next commit; the report that `leads` makes it."""
        mine = PendingReport(token, pending, alone)
        self._enter(mine)
        return mine

    def lead(self) -> None:
        """Settle the waiting reports, this thread's own included, and let the next one lead.

        The leader has waited longest, so its report is part of the batch.
        """
        batch, jobs = self._take(), {}
        try:
            jobs = _settle_together(batch)
        finally:
            self._hand_over(batch)
        _reconcile(jobs)

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


def _settle_together(batch: Sequence[PendingReport]) -> dict[int, int]:
    """Settle them, and return the jobs that may be due, with how many of their items failed."""
    try:
        if len(batch) == 1:
            (one,) = batch
            one.settled = one.alone(one.token, one.pending, shared=True)
            return {}
        reports = {one.token: rows_of(one.pending) for one in batch}
        settled = settle_together(reports, hooks.hooked_pipelines())
    except (JoblotError, DatabaseError) as error:
        logger.debug("%d reports go alone: %s", len(batch), error)
        return {}
    jobs: Counter[int] = Counter()
    for one in batch:
        if found := settled.get(one.token):
            one.settled = counted(found.moved, None)
            jobs[found.job_id] += found.failed
    return dict(jobs)


def _reconcile(jobs: Mapping[int, int]) -> None:
    """For reports that are already answered; if it fails, the sweep reconciles the job."""
    for job_id, failed in jobs.items():
        note_passed_on(job_id)
        try:
            if may_be_due(job_id, failed):
                reconcile(job_id)
        except (JoblotError, DatabaseError):
            about = {"job": job_id}
            logger.warning("job %s is left to the sweep", job_id, exc_info=True, extra=about)


_groups = Groups(GroupCommit)  # Threads: has a lock


def group_of(using: str) -> GroupCommit:
    """The reports of this process to that database."""
    return _groups.of(using)

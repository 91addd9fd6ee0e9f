"""Reopen items that failed while their job goes on: a retry within the run.

Each transaction takes failed items to open, with their counts and its event. It holds the leases
through which they failed, so that no report that is in progress can settle one of them by what it
has read; and it notes in these leases that the item went back, so that a failure that is posted
again is a duplicate. It holds the job's row, so that the run does not end meanwhile; a
process that has read the counts before loses its compare-and-set.

Locks, in order: leases, the job's row, items by number, slots by stage. No lease is waited for
while another one is held: those that are locked are skipped, and then waited for one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joblot import faults
from joblot.config import limits
from joblot.errors import NumberChanged
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.job.reopen import remember, tried_then
from joblot.ledger.job.selection import Selection
from joblot.ledger.rows.author import Author
from joblot.ledger.rows.items import FailedItem
from joblot.ledger.rows.job import advance, lock_job, policy_of, record_event, stages_of
from joblot.ledger.rows.ranges import RELEASED, Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas
from joblot.models import Job, Lease, Outcome
from joblot.shown import counted
from joblot.states import FINALIZABLE, HOLDING, ItemState

_GIVEN_UP = (ItemState.FAILED, ItemState.LOST)


class RunOver(Exception):
    """The run has ended, or is being canceled: nothing can be reopened in it."""


def reopen_failed(
    job_id: int, run: int, selection: Selection, expected: int | None, by: Author
) -> int:
    """Reopen in this run what the selection has; returns how many items.

    Raises RunOver if the run was over before anything was reopened; NumberChanged.
    """
    work = _Reopening(job_id, run, selection, by, expected)
    try:
        work.go()
    except RunOver:
        if not work.reopened:
            raise
    return work.reopened


@dataclass(slots=True)
class _Reopening:
    job_id: int
    run: int
    selection: Selection
    by: Author
    expected: int | None
    reopened: int = 0

    def go(self) -> None:
        after: int | None = -1
        while after is not None and not self._is_done:
            items, after = self._following(after, self._most)
            for held in self._skipped(items, self._reopen(items)):
                self._reopen(items, waiting_for=held)

    @property
    def _is_done(self) -> bool:
        return bool(self.reopened) and self.reopened == self.expected

    @property
    def _most(self) -> int:
        """How many items the next transaction may reopen; not more than are expected."""
        most = limits().reopen_chunk_items
        return most if self.expected is None else max(1, min(most, self.expected - self.reopened))

    @repeated
    def _following(self, after: int, most: int) -> tuple[list[FailedItem], int | None]:
        return self.selection.failed(self.job_id, after, most)

    @repeated
    def _skipped(self, items: Sequence[FailedItem], reopened: int) -> list[UUID]:
        """The leases that were skipped because another transaction held them."""
        if reopened == len(items):
            return []
        left = {row.lease_token for row in _outcomes(self.job_id, items)}
        return sorted(token for token in left if token is not None)

    @repeated
    def _reopen(self, items: Sequence[FailedItem], waiting_for: UUID | None = None) -> int:
        """Reopen those of these items whose leases are free, or that failed through this lease."""
        with durable():
            found = _outcomes(self.job_id, items)
            leases = _locked({row.lease_token for row in found}, waiting_for)
            job = lock_job(self.job_id)
            if job.status not in FINALIZABLE or job.run != self.run:
                raise RunOver
            if not self.reopened:
                self._require_expected()
            rows = [
                row for row in _outcomes(self.job_id, items, locked=True) if _is_free(row, leases)
            ]
            if rows:
                self._write(job, rows, leases)
        self.reopened += len(rows)
        faults.point("retry: failed items reopened")
        return len(rows)

    def _require_expected(self) -> None:
        if self.expected is None:
            return
        items = self.selection.count(self.job_id)
        if items != self.expected:
            raise NumberChanged(
                f"job {self.job_id}: expected to retry {counted(self.expected, 'item')}, but it "
                f"would be {items:,} now; look again, and repeat the request with this number",
                self.expected,
                items,
            )

    def _write(self, job: Job, rows: Sequence[Outcome], leases: dict[UUID, Lease]) -> None:
        deltas = Deltas(len(stages_of(job.pk)))
        numbers, gone = defaultdict(list), defaultdict(list)
        for row in rows:
            deltas.reopen(row.stage, ItemState(row.state))
            numbers[row.stage].append(row.number)
            if row.lease_token in leases:
                gone[row.lease_token].append(row.number)
        remember(rows)
        for stage, mine in sorted(numbers.items()):
            which = Outcome.ledger.using(alias()).filter(job_id=job.pk, stage=stage)
            which.filter(number__in=mine).delete()
            # A late success may settle it before the next claim, which then leaves it out.
            spans = (Span(*island, returns=RELEASED) for island in islands(mine))
            enqueue(job.pk, stage, spans)
        _note_gone(leases, gone)
        advance(job.pk, job.version)
        data: dict[str, Any] = {"items": len(rows), **self.selection.as_json()}
        if policy_of(job).halts:
            data["tried"] = tried_then(job.pk, deltas)
        record_event(job.pk, job.run, job.revision, "reopened", data, by=self.by)
        deltas.write(job.pk)


def _outcomes(job_id: int, items: Iterable[FailedItem], *, locked: bool = False) -> list[Outcome]:
    """The outcomes of these items as they are now, if they are still given up, by number."""
    by_stage: dict[int, list[int]] = defaultdict(list)
    for item in items:
        by_stage[item.stage].append(item.number)
    found: list[Outcome] = []
    for stage, numbers in sorted(by_stage.items()):
        rows = Outcome.ledger.using(alias()).filter(
            job_id=job_id, stage=stage, number__in=numbers, state__in=_GIVEN_UP
        )
        rows = rows.defer("output").order_by("number")
        found += rows.select_for_update() if locked else rows
    return found


def _locked(tokens: Collection[UUID | None], waiting_for: UUID | None) -> dict[UUID, Lease]:
    """Lock these leases as far as they are free, or wait for this one alone."""
    leases = Lease.ledger.using(alias())
    if waiting_for is not None:
        rows = leases.filter(pk=waiting_for).select_for_update()
    else:
        rows = leases.filter(pk__in=[one for one in tokens if one is not None])
        rows = rows.order_by("pk").select_for_update(skip_locked=True)
    return {lease.pk: lease for lease in rows}


def _is_free(row: Outcome, leases: dict[UUID, Lease]) -> bool:
    return row.lease_token is None or row.lease_token in leases


def _note_gone(leases: dict[UUID, Lease], gone: dict[UUID, list[int]]) -> None:
    """A failure counts through no lease that has expired, so only the others need the note."""
    for token, numbers in sorted(gone.items()):
        lease = leases[token]
        if lease.state in HOLDING:
            lease.gone = sorted({*lease.gone, *numbers})
            Lease.ledger.using(alias()).filter(pk=token).update(gone=lease.gone)

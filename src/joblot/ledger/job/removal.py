"""Removal: first an ended job is marked and so frozen, then its rows are removed, then its own row.

`deleted_at` marks a job that is being removed. The mark is set by compare-and-set of a version
that was read before every lease through which an item could still be settled was closed, and
before a reconciliation that found nothing to record. An amendment through another lease locks the
job's row; it either changes the version or finds the mark. So nothing is counted once the mark is
set, and a job that was retried in the meantime is left alone. A marked job is not retried, amended,
filled or claimed, and its row no longer changes, except for `total`, which goes down with its
items. Late results get receipts as long as the leases exist.

Rows are removed in chunks, each in a short transaction, so that a removal may die anywhere and any
process may continue it. Below `total` every item has all of its rows; from `total` on, none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

from django.db.models import Q

from joblot import clock, faults
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.guards import LedgerModel
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.job.close import close_leases, drain_claims
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.rows import outputs
from joblot.ledger.rows.author import Author
from joblot.ledger.rows.job import advance, record_event, stages_of
from joblot.ledger.rows.sweep_failures import Step, attempt, put_off
from joblot.models import (
    Attempt,
    Deferral,
    Delivery,
    Event,
    Item,
    ItemRange,
    Job,
    Lease,
    Log,
    Metric,
    Outcome,
    PipelineAsked,
    Rate,
    Sample,
    Stage,
    Tally,
    Uncounted,
    WebhookDelivery,
)
from joblot.states import TERMINAL

ENDED = Q(status__in=TERMINAL)


def begin(job_id: int, due: Q = ENDED, *, by: Author | None = None) -> bool:
    """Mark an ended job as being removed, and free its idempotency key.

    `due` is the condition for removal; it holds for the version that is marked. Returns whether the
    job is now being removed, by this call or another; False if it is not `due`, or gone. With
    `by`, the event "deleted" is written with the mark.
    """
    for _ in range(limits().reconcile_rounds_max):
        seen = _due(job_id, due)
        if seen is None:
            return False
        if seen.deleted_at is not None:
            return True
        drain_claims(job_id, seen.run, ended=True)
        close_leases(job_id, seen.run, unsettled=True)
        reconcile(job_id)
        if _mark(seen, by):
            faults.point("removal: begun")
            return True
    raise Unavailable(
        f"job {job_id}: {limits().reconcile_rounds_max} tries were overtaken by other changes; "
        "try again"
    )


@repeated
def _due(job_id: int, due: Q) -> Job | None:
    found: Job | None = Job.ledger.using(alias()).filter(due, pk=job_id).first()
    return found


@repeated
def _mark(job: Job, by: Author | None) -> bool:
    with durable():
        won = advance(job.pk, job.version, deleted_at=clock.now(), idempotency_key=None)
        if won and by is not None:
            record_event(job.pk, job.run, job.revision, "deleted", {}, by=by)
    return won


def go_on(seconds: float) -> None:
    """Remove the bulk of the marked jobs' rows, for about `seconds`. Their leases stay.

    If this fails for a job, the job is put off and the others proceed.
    """
    until = time.monotonic() + seconds
    for job_id in _with_items():
        attempt(Step.REMOVE, job_id, partial(_go_on_until, until))
        if time.monotonic() > until:
            return


def go_on_with(job_id: int, seconds: float) -> None:
    """The same for one job, which may have been put off. Raises any error."""
    _go_on_until(time.monotonic() + seconds, job_id)


def _go_on_until(until: float, job_id: int) -> None:
    for _ in _bulk(job_id, _Pace()):
        if time.monotonic() > until:
            return


def finish(job_id: int) -> bool:
    """Remove every row of a marked job; returns whether this call removed the job's own row.

    Leases are removed before anything that a report may write, so that each waits for the report
    that holds it. The job's row is removed last, so that leftovers can always be found.
    """
    pace = _Pace()
    for _ in _bulk(job_id, pace):
        pass
    for _ in chain.from_iterable(pace.chunks(step, job_id) for step in _LAST):
        pass
    removed = _remove_job(job_id)
    for model in (Log, Sample):  # written during the removal
        for _ in pace.chunks(_rows_of(model), job_id):
            pass
    return removed


@repeated
def _with_items() -> list[int]:
    """Jobs that are being removed and still have items, which are the last of the bulk."""
    jobs = Job.ledger.using(alias()).filter(deleted_at__isnull=False, total__gt=0)
    jobs = jobs.exclude(put_off(Step.REMOVE, "pk"))
    return list(jobs.order_by("total").values_list("pk", flat=True)[: limits().sweep_jobs_batch])


class _Pace:
    """How many rows a transaction removes: fewer if one takes longer than it should.

    Never fewer than the first: where the commit is what takes long, smaller ones take as long.
    """

    def __init__(self) -> None:
        self._least = self._rows = min(limits().removal_rows_first, limits().removal_rows_max)

    def chunks(self, remove: Callable[[int, int], int], job_id: int) -> Iterator[int]:
        """Remove rows of the job until none is found; yields how many, after each transaction."""
        while True:
            began = time.monotonic()
            removed = remove(job_id, self._rows)
            if not removed:
                return
            self._adapt(time.monotonic() - began)
            yield removed

    def _adapt(self, seconds: float) -> None:
        aimed = limits().removal_seconds_aimed
        if seconds > aimed:
            self._rows = max(self._least, self._rows // 2)
        elif seconds < aimed / 2:
            self._rows = min(limits().removal_rows_max, self._rows * 2)


def _bulk(job_id: int, pace: _Pace) -> Iterator[int]:
    """Remove what grows with the work. Items go last: while some are left, other rows may be."""
    return chain.from_iterable(pace.chunks(step, job_id) for step in _BULK)


def _rows_of(model: type[LedgerModel]) -> Callable[[int, int], int]:
    """A step that removes rows of a table, in any order, and returns how many it found."""

    @repeated
    def remove(job_id: int, rows: int) -> int:
        with durable():
            mine = model.ledger.using(alias()).filter(job_id=job_id)
            found = list(mine.values_list("pk", flat=True)[:rows])
            if found:
                mine.filter(pk__in=found).delete()
        return len(found)

    return remove


def _slot_of(model: type[LedgerModel]) -> Callable[[int, int], int]:
    """A step that removes one slot of one stage, and returns 1, or 0 if there is none."""

    @repeated
    def remove(job_id: int, _rows: int) -> int:
        with durable():
            mine = model.ledger.using(alias()).filter(job_id=job_id)
            found = mine.values_list("stage", "slot").first()
            if found:
                mine.filter(stage=found[0], slot=found[1]).delete()
        return int(found is not None)

    return remove


@repeated
def _remove_items(job_id: int, items: int) -> int:
    """Remove the last items, with their outcomes and attempts.

    Locks the job's row, so that concurrent removals take different items. Selects by number, from
    `total` downwards, so that no statement scans over rows that were already removed.
    """
    with durable():
        jobs = Job.ledger.using(alias()).select_for_update()
        job = jobs.filter(pk=job_id, deleted_at__isnull=False).first()
        if job is None or job.total == 0:
            return 0
        first = max(0, job.total - items)
        last = {"job_id": job_id, "number__gte": first, "number__lt": job.total}
        stages = list(range(len(stages_of(job_id))))
        outcomes = Outcome.ledger.using(alias()).filter(stage__in=stages, **last)
        stored = outcomes.filter(output_ref__isnull=False)
        refs = set(stored.values_list("output_ref", flat=True))
        outcomes.delete()
        Attempt.ledger.using(alias()).filter(**last).delete()
        Item.ledger.using(alias()).filter(**last).delete()
        advance(job_id, job.version, total=first)
        outputs.let_go(refs)
    return int(job.total - first)


@repeated
def _remove_uncounted(job_id: int, rows: int) -> int:
    with durable():
        mine = Uncounted.ledger.using(alias()).filter(job_id=job_id)
        found = dict(mine.values_list("pk", "output_ref")[:rows])
        mine.filter(pk__in=found).delete()
        outputs.let_go(ref for ref in found.values() if ref is not None)
    return len(found)


@repeated
def _remove_events(job_id: int, rows: int) -> int:
    """Remove events with their deliveries.

    Locks the events first: a delivery in flight has then left its mark, and no other begins.
    """
    with durable():
        events = Event.ledger.using(alias()).filter(job_id=job_id)
        found = list(events.select_for_update().values_list("pk", flat=True)[:rows])
        Delivery.ledger.using(alias()).filter(event_id__in=found).delete()
        events.filter(pk__in=found).delete()
    return len(found)


@repeated
def _remove_webhook_deliveries(job_id: int, rows: int) -> int:
    """Remove deliveries that were sent or given up; those still to be sent outlive the job."""
    with durable():
        done = WebhookDelivery.objects.using(alias()).filter(job_id=job_id, next_try_at=None)
        found = list(done.values_list("pk", flat=True)[:rows])
        done.filter(pk__in=found).delete()
    return len(found)


@repeated
def _remove_job(job_id: int) -> bool:
    with durable():
        Stage.ledger.using(alias()).filter(job_id=job_id).delete()
        row = Job.ledger.using(alias()).filter(pk=job_id, deleted_at__isnull=False)
        removed, _ = row.delete()
    return bool(removed)


_BESIDES = (
    *(_rows_of(model) for model in (ItemRange, Deferral, PipelineAsked, Log, Sample, Rate)),
    _remove_uncounted,
    *(_slot_of(model) for model in (Tally, Metric)),
)
_BULK = (*_BESIDES, _remove_items)
# Once the leases are gone no report is in flight; this removes what late reports wrote before that.
_LAST = (_rows_of(Lease), *_BESIDES, _remove_events, _remove_webhook_deliveries)

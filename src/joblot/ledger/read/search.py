"""Items of a job by a filter, a page at a time, found at a bounded cost.

First the items in a state of a stage are found, as in `items`; of these, a page examines at most
`page_probe_items` for what else must match. It is short, and names where the next one begins, if
few of them do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from joblot.config import limits
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read.filters import OF_A_STAGE, ItemFilters
from joblot.ledger.read.items import Page, described, seen_of_job
from joblot.ledger.read.partition import cut_off_items, late_items
from joblot.ledger.read.standing import Asked, Found, standing
from joblot.ledger.rows.due import JobSnapshot
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, Lease
from joblot.states import JobStatus


@repeated
@one_snapshot()
def search(job_id: int, filters: ItemFilters, *, limit: int = 100) -> Page:
    """A page of the items that match, by number, as `items` returns them.

    Without a stage, the states of items in a queue or a lease refer to the first one. Raises
    NotFound, InvalidInput.
    """
    seen = seen_of_job(job_id)
    size = max(1, min(limit, limits().page_items_max))
    found = _found(seen, filters, size)
    page = Page(described(seen, found.numbers))
    ((now,),) = fetch(connection(), "db/clock")
    page.as_of, page.next = moment(now).isoformat(), found.next
    return page


def _found(seen: JobSnapshot, filters: ItemFilters, size: int) -> Found:
    after = filters.after
    if filters.range.first is not None:
        after = max(after, filters.range.first - 1)
    within = seen
    if filters.range.last is not None:
        within = replace(seen, total=min(seen.total, filters.range.last + 1))
    if not filters.narrows:
        return _within(within, _standing(within, filters, after, size))
    examined = _within(within, _standing(within, filters, after, limits().page_probe_items))
    kept = _narrowed(seen, filters, examined.numbers, size)
    return Found(kept, kept[-1] if len(kept) == size else examined.next)


def _within(seen: JobSnapshot, found: Found) -> Found:
    """Without what lies behind the last item that is looked for."""
    numbers = [n for n in found.numbers if n < seen.total]
    goes_on = found.next is not None and found.next < seen.total - 1
    return Found(numbers, found.next if goes_on else None)


def _standing(seen: JobSnapshot, filters: ItemFilters, after: int, size: int) -> Found:
    """The first `size` items in the filter's state."""
    if filters.state not in OF_A_STAGE or filters.cause is not None:
        asked = Asked.of(filters.state, filters.stage, seen.names, filters.cause)
        return standing(seen, asked, after, size)
    stage = Asked.of(None, filters.stage, seen.names).position or 0
    if find := _FINDERS.get(str(filters.state)):
        return find(seen, stage, after, size)
    found = sorted(n for n in _all_in(seen, stage, filters.state) if after < n < seen.total)
    return Found(found[:size], found[size - 1] if len(found) > size else None)


def _not_reached(seen: JobSnapshot, stage: int, after: int, size: int) -> Found:
    """Items that are open in the stage before."""
    if stage == 0 or seen.status is JobStatus.REVOKED:
        return Found([], None)
    return standing(seen, Asked.of("open", seen.names[stage - 1], seen.names), after, size)


def _waiting(
    seen: JobSnapshot, stage: int, after: int, size: int, upto: int | None = None
) -> Found:
    """A range may hold an item settled through an expired lease; the page is then short."""
    upto = seen.total - 1 if upto is None else upto
    asked = {"job": seen.job_id, "stage": stage, "after": after, "upto": upto}
    spans = fetch(connection(), "read/waiting_spans", limit=size, **asked)
    queued = (n for first, last in spans for n in range(max(first, after + 1), last + 1))
    numbers = list(islice((n for n in queued if n <= upto), size))
    kept = sorted(set(numbers) - settled_among(seen.job_id, stage, numbers))
    return Found(kept, numbers[-1] if len(numbers) == size else None)


def _ready(seen: JobSnapshot, stage: int, after: int, size: int) -> Found:
    """Open items that have reached the stage, are in no lease and do not wait for their next try.

    They are not read from the queue: an item that it lacks, after damage, is to be found.
    """
    if seen.status is JobStatus.REVOKED:
        return Found([], None)
    asked = Asked.of("succeeded" if stage else "open", seen.names[max(0, stage - 1)], seen.names)
    examined = standing(seen, asked, after, limits().page_probe_items)
    if not examined.numbers:
        return examined
    upto = examined.numbers[-1]
    busy = _held(seen.job_id, stage) | settled_among(seen.job_id, stage, examined.numbers)
    busy.update(_waiting(seen, stage, after, limits().page_probe_items, upto).numbers)
    found = [n for n in examined.numbers if n not in busy]
    return Found(found[:size], found[size - 1] if len(found) > size else examined.next)


def _all_in(seen: JobSnapshot, stage: int, state: str | None) -> Iterable[int]:
    """Items in leases, or late: no more of them than were in flight."""
    if state == "in_flight":
        held = _held(seen.job_id, stage)
        return held - settled_among(seen.job_id, stage, held)
    if seen.status is not JobStatus.REVOKED:
        return ()
    pairs = late_items if state == "finished_after_cancel" else cut_off_items
    return [number for position, number in pairs(seen.job_id, seen.run) if position == stage]


def _before_start(seen: JobSnapshot, stage: int, after: int, size: int) -> Found:
    if seen.status is not JobStatus.REVOKED:
        return Found([], None)
    begun = {*_all_in(seen, stage, "cancelled_in_flight")}
    begun.update(_all_in(seen, stage, "finished_after_cancel"))
    # Items that failed before this stage were skipped; the others have no outcome in it.
    examined = standing(seen, Asked.of("open", seen.names[stage], seen.names), after, size)
    return Found([n for n in examined.numbers if n not in begun], examined.next)


_FINDERS = {
    "not_reached": _not_reached,
    "ready": _ready,
    "waiting": _waiting,
    "cancelled_before_start": _before_start,
}


def _held(job_id: int, stage: int | None, worker: str | None = None) -> set[int]:
    """The items of live leases, including settled ones."""
    live: Any = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id)
    if stage is not None:
        live = live.filter(stage=stage)
    if worker is not None:
        live = live.filter(worker=worker)
    held: set[int] = set()
    for ranges, gone in live.values_list("ranges", "gone"):
        numbers = (n for span in ranges for n in Span(*span).numbers)
        held.update(set(numbers).difference(gone))
    return held


def _narrowed(seen: JobSnapshot, filters: ItemFilters, numbers: list[int], size: int) -> list[int]:
    stage = Asked.of(None, filters.stage, seen.names).position
    worker = filters.worker
    held = sorted(_held(seen.job_id, stage, worker)) if worker is not None else []
    rows = fetch(
        connection(),
        "read/narrowed_items",
        job=seen.job_id,
        stage=stage,
        stages=len(seen.names),
        numbers=numbers,
        limit=size,
        worker=worker,
        held=held,
        prefix=filters.q or None,
        tries_min=filters.attempt.first,
        tries_max=filters.attempt.last,
        counted=filters.receipt == "counted" or None,
        requeued=filters.receipt == "requeued" or None,
        kept=filters.receipt if filters.receipt in ("late", "conflicting") else None,
    )
    return [number for (number,) in rows]

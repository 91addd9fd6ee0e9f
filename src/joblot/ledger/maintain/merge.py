"""Merge: join adjacent ranges with equal budgets, so that claims stay short."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from django.db.models import Count, Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.ranges import ALONE, Span, enqueue
from joblot.ledger.rows.sweep_failures import Step, attempt, put_off
from joblot.models import ItemRange
from joblot.states import CLAIMABLE


def merge_ranges() -> None:
    """Merge small ranges in every stage that has many."""
    crowded = _crowded(~Q(put_off(Step.MERGE, "job_id")))
    for job_id, stage in crowded:
        attempt(Step.MERGE, job_id, partial(_merge_stage, stage=stage))


def merge_ranges_of(job_id: int) -> None:
    """The same for one job, which may have been put off. Raises any error."""
    for _, stage in _crowded(Q(job_id=job_id)):
        _merge_stage(job_id, stage)


@repeated
def _crowded(which: Q) -> list[tuple[int, int]]:
    rows = (
        ItemRange.ledger.using(alias())
        .filter(which, job__status__in=CLAIMABLE)
        .values_list("job_id", "stage")
        .annotate(ranges=Count("id"))
        .filter(ranges__gte=limits().merge_ranges_min * 2)
    )
    return [(job_id, stage) for job_id, stage, _ in rows]


@repeated
def _merge_stage(job_id: int, stage: int) -> int:
    """Merge ranges that are unlocked and due; returns how many fewer there are. Never waits."""
    with durable():
        free = (
            ItemRange.ledger.using(alias())
            .filter(job_id=job_id, stage=stage, not_before__lte=clock.now(), returns__lt=ALONE)
            .select_for_update(skip_locked=True)
            .order_by("id")[: limits().merge_ranges_batch]
        )
        merged, gone = _merged(sorted(free, key=lambda r: r.next))
        ItemRange.ledger.using(alias()).filter(pk__in=gone).delete()
        enqueue(job_id, stage, merged)
    return len(gone) - len(merged)


def _alike(row: ItemRange) -> tuple[int, int, int]:
    return row.failures, row.expiries, row.returns


def _merged(rows: list[ItemRange]) -> tuple[list[Span], list[int]]:
    """The merged spans, and the ids of the ranges that they replace."""
    spans: list[Span] = []
    gone: list[int] = []
    for alike, group in groupby(sorted(rows, key=lambda r: (_alike(r), r.next)), key=_alike):
        chain: list[ItemRange] = []
        for row in [*group, None]:
            if chain and (row is None or not _joins(chain, row)):
                if len(chain) > 1:
                    spans.append(Span(chain[0].next, chain[-1].last, *alike))
                    gone += [one.id for one in chain]
                chain = []
            if row is not None:
                chain.append(row)
    return spans, gone


def _joins(chain: list[ItemRange], row: ItemRange) -> bool:
    """True if `row` begins where the chain ends and both fit into `range_items_min`."""
    together = row.last - chain[0].next + 1
    return row.next == chain[-1].last + 1 and together <= limits().range_items_min

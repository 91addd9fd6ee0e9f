"""Merge: join adjacent ranges with equal budgets, so that claims stay short."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import groupby

from django.db import transaction
from django.db.models import Count, F, Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.due import decide, read_snapshot
from joblot.ledger.rows.job import stages_of
from joblot.ledger.rows.ranges import ALONE, Span, enqueue
from joblot.ledger.rows.sweep_failures import Step, attempt, put_off
from joblot.models import ItemRange, Metric, Tally
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


_BIGINT_MAX = 2**63 - 1
_COUNTS = ("succeeded", "failed", "lost", "skipped", "late")


@repeated
def fold(job_id: int) -> bool:
    """Add every slot of an ended job to slot 0, in lock order; returns False if it must wait.

    It must wait while an amendment was counted but not yet reconciled: the sweep finds such a job
    by the amendment's slot. A concurrent amendment waits for its slot, or inserts it again if it
    is gone.
    """
    stages = stages_of(job_id)
    with durable() as conn:
        for stage in stages:
            _fold_tallies(job_id, stage.position)
        for stage in stages:
            _fold_metrics(job_id, stage.position)
        seen = read_snapshot(job_id)
        untold = seen is not None and decide(seen) is not None
        if untold:
            transaction.set_rollback(True, using=conn.alias)
    return not untold


def _fold_tallies(job_id: int, stage: int) -> None:
    slots = Tally.ledger.using(alias()).filter(job_id=job_id, stage=stage)
    locked = list(slots.select_for_update().order_by("slot"))
    spread = [tally for tally in locked if tally.slot > 0]
    if not spread:
        return
    slots.filter(slot__in=[tally.slot for tally in spread]).delete()
    sums = {name: sum(getattr(tally, name) for tally in spread) for name in _COUNTS}
    folded = slots.filter(slot=0)
    if not folded.update(**{name: F(name) + value for name, value in sums.items()}):
        Tally.ledger.using(alias()).create(job_id=job_id, stage=stage, slot=0, **sums)


def _fold_metrics(job_id: int, stage: int) -> None:
    slots = Metric.ledger.using(alias()).filter(job_id=job_id, stage=stage)
    spread = list(slots.filter(slot__gt=0).select_for_update().order_by("slot", "name"))
    if not spread:
        return
    sums = _sums(spread)
    known = dict(slots.filter(slot=0).values_list("name", "value"))
    if any(abs(value + known.get(name, 0)) > _BIGINT_MAX for name, value in sums.items()):
        return  # more than a slot can hold; readers add the slots up without this bound
    slots.filter(slot__in={metric.slot for metric in spread}).delete()
    for name, value in sums.items():
        if not slots.filter(slot=0, name=name).update(value=F("value") + value):
            Metric.ledger.using(alias()).create(
                job_id=job_id, stage=stage, slot=0, name=name, value=value
            )


def _sums(metrics: Iterable[Metric]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for metric in metrics:
        sums[metric.name] = sums.get(metric.name, 0) + metric.value
    return sums

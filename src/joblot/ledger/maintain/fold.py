"""Fold: add up the tally slots of a job that has ended, so that reading it stays cheap."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.due import decide, read_snapshot
from joblot.ledger.rows.job import stages_of
from joblot.models import Metric, Tally

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

"""The limits of a pipeline: how many items it may grant now, over all of its jobs.

For databases without functions; `pipeline_limit_1` is the same on PostgreSQL. Here the transaction
holds the database's only write lock, so nothing else is locked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from joblot.ledger.claim import rate
from joblot.ledger.claim.queue import StageKey
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.pipelines import LIMITED, items_in_flight
from joblot.models import PipelineLimit, Stage


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a pipeline with a limit may still grant. `window` is None if it has no rate limit."""

    pipeline: str
    window: rate.Window | None
    free: int | None  # by its cap; None if it has none

    @classmethod
    def of(cls, row: PipelineLimit) -> Self:
        window, free = None, None
        if row.rate_items_max is not None:
            limit = (row.rate_items_max, row.rate_seconds)
            window = rate.Window.of(*limit, row.seconds, row.granted, rate.now())
        if row.in_flight_items_max is not None:
            free = max(0, row.in_flight_items_max - items_in_flight(row.pipeline))
        return cls(row.pipeline, window, free)

    @property
    def left(self) -> int:
        """How many more items it may grant now; there is at least one limit."""
        by_rate = None if self.window is None else self.window.left
        return min(one for one in (by_rate, self.free) if one is not None)

    def spend(self, items: int) -> None:
        """Note that these items were granted, or that none may be granted until later."""
        if self.window is not None:
            rows = PipelineLimit.ledger.using(alias()).filter(pk=self.pipeline)
            rows.update(**rate.noted(self.window, items))


def of_stage(stage: StageKey) -> Allowance | None:
    """That of the stage's pipeline; None if it has no limit."""
    job_id, position = stage
    stages = Stage.ledger.using(alias()).filter(job_id=job_id, position=position)
    rows = PipelineLimit.ledger.using(alias()).filter(LIMITED)
    row = rows.filter(pipeline__in=stages.values("pipeline")).first()
    return None if row is None else Allowance.of(row)

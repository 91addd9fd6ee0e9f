"""Adding to a stage's counts, in this connection's own slot.

Lock order: slots come last, tallies before metrics, stages ascending, names ascending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import F, Sum

from joblot.ledger.db.statements import execute
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.models import Tally
from joblot.states import ItemState

COLUMNS = {
    ItemState.SUCCEEDED: "succeeded",
    ItemState.FAILED: "failed",
    ItemState.LOST: "lost",
    ItemState.SKIPPED: "skipped",
}


@dataclass(slots=True)
class Deltas:
    """The changes of a job's counts in one transaction."""

    stages_total: int
    by_stage: dict[int, Counter[str]] = field(default_factory=dict)
    metrics: Counter[tuple[int, str]] = field(default_factory=Counter)

    def settle(self, stage: int, state: ItemState, items: int = 1) -> None:
        """Count `items` as settled in `stage`; unless they succeeded, also as skipped later on."""
        self._add(stage, COLUMNS[state], items)
        if state is not ItemState.SUCCEEDED:
            for later in range(stage + 1, self.stages_total):
                self._add(later, "skipped", items)

    def reopen(self, stage: int, state: ItemState, items: int = 1) -> None:
        """The reverse of `settle`."""
        self.settle(stage, state, -items)

    def late(self, stage: int) -> None:
        self._add(stage, "late", 1)

    def measure(self, stage: int, metrics: Mapping[str, int]) -> None:
        for name, value in metrics.items():
            self.metrics[stage, name] += value

    @property
    def settled(self) -> int:
        """By how much the settled items increase, over all stages."""
        return sum(counts[name] for counts in self.by_stage.values() for name in COLUMNS.values())

    def tried(self, stage: int) -> tuple[int, int]:
        """By how much the items that were given up, and all that were tried, increase."""
        counts = self.by_stage.get(stage, Counter())
        given_up = counts["failed"] + counts["lost"]
        return given_up, given_up + counts["succeeded"]

    def _add(self, stage: int, column: str, items: int) -> None:
        self.by_stage.setdefault(stage, Counter())[column] += items

    def write(self, job_id: int) -> None:
        """Add all changes to this connection's slots. The last statements of a transaction."""
        columns = (*COLUMNS.values(), "late")
        for stage, counts in sorted(self.by_stage.items()):
            row = {column: counts[column] for column in columns}
            execute(connection(), "rows/tally_add", job=job_id, stage=stage, **row)
        for (stage, name), value in sorted(self.metrics.items()):
            if value:
                execute(
                    connection(), "rows/metric_add", job=job_id, stage=stage, name=name, value=value
                )


@repeated
def succeeded(job_id: int, stage: int) -> int:
    """How many items have succeeded in a stage."""
    tallies = Tally.ledger.using(alias()).filter(job_id=job_id, stage=stage)
    return int(tallies.aggregate(items=Sum("succeeded", default=0))["items"])


@repeated
def settled(job_id: int) -> int:
    """How many items are settled, over all stages."""
    tallies = Tally.ledger.using(alias()).filter(job_id=job_id)
    sums = tallies.aggregate(**{name: Sum(name, default=0) for name in COLUMNS.values()})
    return sum(int(items) for items in sums.values())


@repeated
def tried(job_id: int, stages_total: int) -> list[tuple[int, int]]:
    """For each stage, how many items were given up, and how many were tried."""
    tallies = Tally.ledger.using(alias()).filter(job_id=job_id).values("stage")
    given_up = Sum(F("failed") + F("lost"))
    sums = tallies.annotate(given_up=given_up, tried=given_up + Sum("succeeded"))
    found = {row["stage"]: (int(row["given_up"]), int(row["tried"])) for row in sums.order_by()}
    return [found.get(stage, (0, 0)) for stage in range(stages_total)]

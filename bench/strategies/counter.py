"""A2: a column of the job's row, added to by the statement: `F("done") + n` in Django."""

from __future__ import annotations

from bench.strategies.shape import Batch
from bench.strategies.world import Arena, finish, one, save, together
from joblot import faults

ADD = """
UPDATE arena_job SET done = done + %(n)s WHERE id = %(job)s RETURNING done >= total
"""


class Counter(Arena):
    """In the transaction that saves the rows, as its last statement."""

    key = "A2"
    what = "counter column, n = n + k"
    points = ("arena: saved", "arena: counted", "arena: committed")

    def handle(self, batch: Batch) -> None:
        with together():
            new = save(batch)
            faults.point("arena: saved")
            ended = self.add(batch, new)
            faults.point("arena: counted")
        faults.point("arena: committed")
        if ended:
            self.end(batch.job)

    def add(self, batch: Batch, new: int) -> bool:
        return bool(one(ADD, job=batch.job, n=batch.size))

    def end(self, job: int) -> None:
        finish(job, "AND done >= total")

    def counts(self, job: int) -> int:
        return int(one("SELECT done FROM arena_job WHERE id = %(job)s", job=job))


class StatementCounter(Counter):
    """In a transaction of its own after the rows are committed: the lock of one statement."""

    key = "A2s"
    what = "the same, as a statement of its own"

    def handle(self, batch: Batch) -> None:
        new = save(batch)
        faults.point("arena: saved")
        ended = self.add(batch, new)
        faults.point("arena: counted")
        faults.point("arena: committed")
        if ended:
            self.end(batch.job)


class RowsCounter(Counter):
    """Adds what its insert has inserted, so a repeat adds nothing."""

    key = "A2u"
    what = "the same, k = rows that were new"

    def add(self, batch: Batch, new: int) -> bool:
        return bool(one(ADD, job=batch.job, n=new))

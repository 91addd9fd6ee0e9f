"""A6, A7, A8: a row per item says what is open; the end is found by looking at the rows."""

from __future__ import annotations

from collections.abc import Sequence

from bench.strategies.shape import Batch
from bench.strategies.world import Arena, finish, one, run, save, together
from joblot import faults

FILL = "INSERT INTO {table} (job, number) SELECT %(job)s, generate_series(0, %(total)s - 1)"
MARK = """
UPDATE arena_item SET done = true
WHERE job = %(job)s AND number BETWEEN %(first)s AND %(last)s AND NOT done
"""
COUNT = "SELECT count(*) FROM arena_item WHERE job = %(job)s AND {which}"


class _Items(Arena):
    points = ("arena: saved", "arena: counted", "arena: committed")
    table = "arena_item"

    def setup(self, sizes: Sequence[int], batches: Sequence[Batch]) -> None:
        super().setup(sizes, batches)
        for job, total in enumerate(sizes):
            run(FILL.format(table=self.table), job=job, total=total)

    def handle(self, batch: Batch) -> None:
        with together():
            save(batch)
            faults.point("arena: saved")
            self.mark(batch)
            faults.point("arena: counted")
        faults.point("arena: committed")
        # In a new snapshot: before the commit, the last two would each see the other's items open.
        self.end(batch.job)

    def mark(self, batch: Batch) -> None:
        run(MARK, job=batch.job, first=batch.first, last=batch.numbers[-1])

    def end(self, job: int) -> None:
        raise NotImplementedError

    def counts(self, job: int) -> int:
        return int(one(COUNT.format(which="done"), job=job))


class AdvisoryLock(_Items):
    """After each batch: lock, count the open items, and end the job if there is none."""

    key = "A6"
    what = 'advisory lock + "none open" scan'

    def end(self, job: int) -> None:
        run("SELECT pg_advisory_lock(%(job)s)", job=job)
        try:
            if one(COUNT.format(which="NOT done"), job=job) == 0:
                finish(job)
        finally:
            run("SELECT pg_advisory_unlock(%(job)s)", job=job)


class OpenRows(_Items):
    """A row per open item, deleted when it is done; no row left ends the job."""

    key = "A7"
    what = "a row per open item + NOT EXISTS"
    table = "arena_open"

    def mark(self, batch: Batch) -> None:
        run(
            "DELETE FROM arena_open WHERE job = %(job)s AND number BETWEEN %(first)s AND %(last)s",
            job=batch.job,
            first=batch.first,
            last=batch.numbers[-1],
        )

    def end(self, job: int) -> None:
        finish(job, "AND NOT EXISTS (SELECT FROM arena_open WHERE job = %(job)s)")

    def counts(self, job: int) -> int:
        left = "(SELECT count(*) FROM arena_open WHERE job = %(job)s)"
        return int(one(f"SELECT total - {left} FROM arena_job WHERE id = %(job)s", job=job))


class Recount(_Items):
    """After each batch: count all items of the job by their state."""

    key = "A8"
    what = "recount after each batch"

    def end(self, job: int) -> None:
        if one("SELECT count(*) FILTER (WHERE NOT done) FROM arena_item WHERE job = %(job)s",
               job=job) == 0:  # fmt: skip
            finish(job)

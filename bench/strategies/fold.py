"""A9: each batch inserts what it adds; one process folds these rows into the job's row."""

from __future__ import annotations

from collections.abc import Callable

from bench.strategies.shape import Batch
from bench.strategies.world import SAVE, Arena, finish, given, one, run, together
from joblot import faults

SAVE_AND_ADD = f"""
WITH saved AS ({SAVE})
INSERT INTO arena_delta (job, n) SELECT %(job)s, count(*) FROM saved HAVING count(*) > 0
"""
FOLD = """
WITH taken AS (
    DELETE FROM arena_delta WHERE id IN (
        SELECT id FROM arena_delta ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) RETURNING job, n
)
UPDATE arena_job j SET done = j.done + t.n
FROM (SELECT job, sum(n) AS n FROM taken GROUP BY job) t
WHERE j.id = t.job RETURNING j.id, j.done >= j.total
"""


class FoldLater(Arena):
    """Handlers share no row; a reader is told what has been folded."""

    key = "A9"
    what = "fold later, SKIP LOCKED"
    points = ("arena: saved",)

    def handle(self, batch: Batch) -> None:
        run(SAVE_AND_ADD, **given(batch))
        faults.point("arena: saved")

    def background(self) -> Callable[[], None]:
        return self.fold

    def fold(self) -> None:
        with together():
            for job, ended in run(FOLD):
                if ended:
                    finish(job)

    def counts(self, job: int) -> int:
        return int(one("SELECT done FROM arena_job WHERE id = %(job)s", job=job))

"""The limit: the rows of the batch are inserted, and nothing is counted."""

from __future__ import annotations

from bench.strategies.shape import Batch
from bench.strategies.world import BARE, Arena, given, one, run


class BareInsert(Arena):
    key = "limit"
    what = "bare insert of the rows, nothing counted"
    points = ()

    def handle(self, batch: Batch) -> None:
        run(BARE, **given(batch))

    def counts(self, job: int) -> int:
        return int(one("SELECT count(*) FROM arena_result WHERE job_id = %(job)s", job=job))

"""A0, A1, A3: the counts are in a JSON value of the job's row, which is read and written back."""

from __future__ import annotations

import json
from typing import ClassVar

from bench.strategies.shape import Batch
from bench.strategies.world import Arena, finish, one, run, save, together
from joblot import faults

READ = "SELECT status, total, progress::text FROM arena_job WHERE id = %(job)s"
WRITE = "UPDATE arena_job SET progress = %(progress)s WHERE id = %(job)s"
WRITE_ALL = """
UPDATE arena_job SET progress = %(progress)s, status = %(status)s WHERE id = %(job)s
"""


class JsonBlob(Arena):
    """As an ORM does it: load the row, change it in memory, save the whole row."""

    key = "A0"
    what = "JSON blob, no lock"
    points: ClassVar[tuple[str, ...]] = ("arena: saved", "arena: counted")
    read = READ

    def handle(self, batch: Batch) -> None:
        with together():
            save(batch)
            faults.point("arena: saved")
            status, total, progress = run(self.read, job=batch.job)[0]
            faults.point("arena: read")
            done = json.loads(progress)["processed"] + batch.size
            if ended := done >= total:
                status = "SUCCESS"
            changed = json.dumps({"processed": done})
            run(WRITE_ALL, job=batch.job, progress=changed, status=status)
            if ended:
                run("INSERT INTO arena_event (job) VALUES (%(job)s)", job=batch.job)
            faults.point("arena: counted")

    def counts(self, job: int) -> int:
        return int(
            one("SELECT progress ->> 'processed' FROM arena_job WHERE id = %(job)s", job=job)
        )


class LockedJson(JsonBlob):
    """The lock lasts from the read to the end of the commit."""

    key = "A1"
    what = "row lock + JSON"
    read = f"{READ} FOR UPDATE"


class ConditionalStatus(JsonBlob):
    """The status can't be clobbered, and the end is announced once; the count is as in A0."""

    key = "A3"
    what = "conditional status only"
    points = ("arena: saved", "arena: counted", "arena: committed")

    def handle(self, batch: Batch) -> None:
        with together():
            save(batch)
            faults.point("arena: saved")
            _, total, progress = run(self.read, job=batch.job)[0]
            faults.point("arena: read")
            done = json.loads(progress)["processed"] + batch.size
            run(WRITE, job=batch.job, progress=json.dumps({"processed": done}))
            faults.point("arena: counted")
        faults.point("arena: committed")
        if done >= total:
            finish(batch.job)

"""J: joblot's ledger, by `report`; its handlers are processes, or threads of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError

from bench.strategies.shape import Batch, Strategy
from bench.strategies.world import one, run
from joblot.wire import success

PIPELINE = "arena"

# What a claim of each batch would have done: the granted items leave the queue.
UNGRANTED = """
INSERT INTO joblot_range (job_id, stage, next, last)
SELECT %(job)s, 0, %(first)s, %(last)s WHERE %(first)s <= %(last)s
"""
LEASES = """
INSERT INTO joblot_lease (
    token, job_id, run, stage, state, size, open, ranges, gone, worker, claimed_at, expires_at
)
SELECT b.token, b.job, 1, 0, 0, b.size, b.size,
       jsonb_build_array(jsonb_build_array(b.first, b.first + b.size - 1, 0, 0, 0)),
       '[]', '', statement_timestamp(), statement_timestamp() + interval '1 hour'
FROM unnest(%(tokens)s::uuid[], %(jobs)s::bigint[], %(firsts)s::int[], %(sizes)s::int[])
    AS b (token, job, first, size)
"""
STALE_SAVE = """
UPDATE joblot_job SET status = %(status)s, total = %(total)s WHERE id = %(job)s
"""
LAG = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(j.xmin)) - (
    SELECT max(pg_xact_commit_timestamp(o.xmin)) FROM joblot_outcome o WHERE o.job_id = %(job)s
))
FROM joblot_job j WHERE j.id = %(job)s AND j.finished_at IS NOT NULL
"""
FINALS = """
SELECT count(*) FROM joblot_event
WHERE job_id = %(job)s AND kind = 'finished' AND data ->> 'status' <> 'REVOKED'
"""


class Ledger(Strategy):
    """Handlers in processes of their own, each with its own leases."""

    key = "J"
    what = "joblot, called directly"
    points = ("report: a round committed", "report: committed, not looked")
    needs_redis = False
    one_process = False
    every = 1.0

    def __init__(self) -> None:
        self._jobs: list[int] = []
        self._tokens: dict[Batch, UUID] = {}

    def setup(self, sizes: Sequence[int], batches: Sequence[Batch]) -> None:
        from joblot import submit

        jobs = (submit("arena", map(str, range(total)), pipeline=PIPELINE) for total in sizes)
        self._jobs = [job.pk for job in jobs]
        self._tokens = {batch: uuid4() for batch in batches}
        self._grant()
        granted = [0] * len(sizes)
        for batch in batches:
            granted[batch.job] = max(granted[batch.job], batch.first + batch.size)
        for job, first, total in zip(self._jobs, granted, sizes, strict=True):
            run("DELETE FROM joblot_range WHERE job_id = %(job)s", job=job)
            run(UNGRANTED, job=job, first=first, last=total - 1)

    def _grant(self) -> None:
        """The leases, written as claims would write them."""
        batches = list(self._tokens)
        run(
            LEASES,
            tokens=list(self._tokens.values()),
            jobs=[self._jobs[batch.job] for batch in batches],
            firsts=[batch.first for batch in batches],
            sizes=[batch.size for batch in batches],
        )

    def handle(self, batch: Batch) -> None:
        results = [success(number, {"label": number}) for number in batch.numbers]
        receipts = self.report()(self._tokens[batch], results)
        assert {one.receipt for one in receipts} <= {"counted", "duplicate", "late"}, receipts

    def report(self) -> Callable[..., Any]:
        from joblot import report

        return report

    def background(self) -> Callable[[], None]:
        """The sweep, which every installation runs."""
        from joblot.maintenance import sweep

        def once() -> None:
            sweep()

        return once

    def cancel(self, job: int) -> None:
        from joblot import cancel

        cancel(self._jobs[job], grace_seconds=0)

    def status(self, job: int) -> str:
        return str(self._read(job)["status"])

    def stale_save(self, job: int) -> Callable[[], None]:
        """As A's: all that a save could write. The database refuses it."""
        row = run("SELECT status, total FROM joblot_job WHERE id = %(job)s", job=self._jobs[job])

        def save() -> None:
            status, total = row[0]
            with suppress(IntegrityError):
                run(STALE_SAVE, job=self._jobs[job], status=status, total=total)

        return save

    def counts(self, job: int) -> int:
        return int(self._read(job)["stages"][0]["succeeded"])

    def finished(self, job: int) -> bool:
        return self.status(job) == "SUCCESS"

    def _read(self, job: int) -> dict[str, Any]:
        from joblot import progress

        return progress(self._jobs[job])

    def finals(self, job: int) -> int:
        return int(one(FINALS, job=self._jobs[job]))

    def lag(self, job: int) -> float | None:
        seconds = one(LAG, job=self._jobs[job])
        return None if seconds is None else float(seconds)


class ThreadedLedger(Ledger):
    """Handlers are threads of one process, as in `joblot serve`."""

    key = "Jt"
    what = "joblot, in threads"
    one_process = True

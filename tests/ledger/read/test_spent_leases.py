"""A job keeps the leases through which its items were settled; no reader goes through them."""

from __future__ import annotations

from functools import partial

from joblot.ledger.claim.availability import next_job
from joblot.ledger.db.transactions import alias
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.rows.due import read_snapshot
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.statistics import current_statistics
from tests.ledger.work import work
from tests.ledger.worker import keys, succeed

LEASES = 400
WORK_MAX = {"postgres": 100, "sqlite": 1_000}  # of a statement: rows; steps, about ten per row


def test_a_job_with_many_is_read_as_one_with_few(ledger_db: str) -> None:
    job = submit("old", keys(LEASES + 2), pipeline="p", policy={"in_flight_items_max": 1}).pk
    for _ in range(LEASES):
        succeed(worker.lease(limit=1))
    at_any_time = partial(progress, job), partial(read_snapshot, job)
    reads = (
        *at_any_time,
        partial(items, job, state="failed"),
        partial(next_job, "p"),
        partial(worker.nothing, job=job),
    )
    with current_statistics(alias()):  # all leases in one state: SQLite calls their index useless
        worker.lease(limit=1)
        for read in reads:
            done = work(alias(), read)
            assert max(done.values()) <= WORK_MAX[ledger_db], done
        cancel(job, grace_seconds=60)
        for read in at_any_time:
            done = work(alias(), read)
            assert max(done.values()) <= WORK_MAX[ledger_db], done

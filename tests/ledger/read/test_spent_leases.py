"""A job keeps the leases through which its items were settled; no reader goes through them."""

from __future__ import annotations

from functools import partial

from joblot.ledger.db.transactions import alias
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
    job = submit("old", keys(LEASES + 1), pipeline="p").pk
    for _ in range(LEASES):
        succeed(worker.lease(limit=1))
    readers = (progress, read_snapshot, partial(items, state="failed"))
    with current_statistics(alias()):
        for reader in readers:
            done = work(alias(), partial(reader, job))
            assert max(done.values()) <= WORK_MAX[ledger_db], done

"""What a claim of several ranges reads: its own items, and not what is left of the job."""

from __future__ import annotations

from django.db import connections

from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import keys

ITEMS = 6_000
PIECE = 16  # of a report to the first stage, and so of a range of the second
BLOCKS_MAX = 60  # of an index; all of the job's have more


def test_a_claim_of_several_ranges_reads_few_pages_of_a_large_job(postgres_only: str) -> None:
    stages = [{"name": "one", "pipeline": "first"}, {"name": "two", "pipeline": "p"}]
    submit("large", keys(ITEMS), stages=stages)
    for _ in range(6):
        lease = worker.lease("first", PIECE)
        report(lease.token, [success(item.id, "done") for item in lease.items])
    worker.lease("p", PIECE)  # the first claim plans its statements
    before = blocks_of(postgres_only)
    (lease,) = claim("p", 4 * PIECE).leases
    assert [item.input for item in lease.items] == ["done"] * 4 * PIECE
    read = blocks_of(postgres_only) - before
    assert read <= BLOCKS_MAX


def blocks_of(alias: str) -> int:
    """How many pages of the indexes on items and outcomes were read so far."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables"
            " WHERE relname IN ('joblot_item', 'joblot_outcome')"
        )
        return int(cursor.fetchone()[0])

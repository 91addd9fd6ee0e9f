"""What a claim reads: its own items, and neither what is left of the job nor what is in flight."""

from __future__ import annotations

from typing import Any

from joblot.ledger.claim.availability import ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.blocks import TIMES, least_read
from tests.ledger.worker import keys

ITEMS = 6_000
PIECE = 16  # of a report to the first stage, and so of a range of the second
TABLES = ("joblot_item", "joblot_outcome")
BLOCKS_MAX = 60  # of heaps and indexes; all of the job's have more
LEASES = 400  # their rows and index entries fill at least 12 pages
BLOCKS_OF_LEASES_MAX = 8  # of three leases, and the index on the way to them


def test_a_claim_of_several_ranges_reads_few_pages_of_a_large_job(postgres_only: str) -> None:
    stages = [{"name": "one", "pipeline": "first"}, {"name": "two", "pipeline": "p"}]
    submit("large", keys(ITEMS), stages=stages)
    for _ in range(4 * TIMES + 1):
        lease = worker.lease("first", PIECE)
        report(lease.token, [success(item.id, "done") for item in lease.items])
    worker.lease("p", PIECE)  # the first claim plans its statements
    assert least_read(postgres_only, claims_four_ranges, TABLES) <= BLOCKS_MAX


def claims_four_ranges() -> bool:
    (lease,) = claim("p", 4 * PIECE).leases
    return [item.input for item in lease.items] == ["done"] * 4 * PIECE


def test_a_claim_that_finds_nothing_reads_few_leases_of_a_job_without_a_cap(
    postgres_only: str, configure: Any
) -> None:
    configure(claim_reason_rows_max=3)
    submit("in flight", keys(LEASES), pipeline="p")
    while claim("p", 1).leases:
        pass
    read = least_read(postgres_only, lambda: not claim("p", 1).leases, ["joblot_lease"])
    assert read <= BLOCKS_OF_LEASES_MAX
    wanted = Wanted.of("p", None, None)
    read = least_read(postgres_only, lambda: not ready_for({wanted}), ["joblot_lease"])
    assert read <= BLOCKS_OF_LEASES_MAX

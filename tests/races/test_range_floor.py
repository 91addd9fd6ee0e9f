"""Where a stage's ranges begin is found again, also while a transaction inserts below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from joblot.ledger.claim import queue
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange
from tests.ledger import worker
from tests.ledger.blocks import least_read
from tests.ledger.worker import fail, keys, numbers, succeed
from tests.polling import eventually
from tests.races.meeting import COMMIT, Gate

RANGES = 1_200  # of one item each; their rows fill 20 pages
BLOCKS_MAX = 20  # of one claim; a search through the used-up ranges reads 10 more


@pytest.fixture(autouse=True)
def often(configure: Any, postgres_only: str) -> Iterator[None]:
    """The search starts over with each claim, as far as its cost allows."""
    configure(range_floor_seconds=1e-6, range_floor_step_seconds=1e-6)
    queue.forget()
    yield
    queue.forget()


def test_a_range_inserted_below_the_floor_is_found_despite_a_backlog(in_thread: Any) -> None:
    submit("floor", keys(40), pipeline="p")
    first, second, third = (worker.lease(limit=2) for _ in range(3))
    rest = worker.lease(limit=100)
    gate = Gate(COMMIT)
    expiring = in_thread(gate.through(lambda: expire(first.token)))
    gate.wait()  # its range has an id, and is not committed
    for lease in (second, third, rest):
        expire(lease.token)
    for _ in range(4):
        worker.lease(limit=1)  # raises the floor above that id
    gate.open()
    expiring.result()
    eventually(lambda: numbers(worker.lease(limit=1))[0] in numbers(first))


def test_a_claim_does_not_search_through_used_up_ranges_each_time(
    postgres_only: str,
) -> None:
    """An old snapshot keeps the index entries of ranges that were used up."""
    job = submit("used up", keys(2 * RANGES), pipeline="p")
    while lease := claim("p", 100).leases:
        even, odd = ([n for n in numbers(lease[0]) if n % 2 == odd] for odd in (0, 1))
        succeed(lease[0], *even)
        fail(lease[0], *odd)
    retry(job.pk)
    assert ItemRange.objects.count() == RANGES
    reader = connections[postgres_only].copy()
    with reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM joblot_job")
        for _ in range(RANGES // 100 - 1):
            succeed(worker.lease(limit=100))
        read = least_read(postgres_only, lambda: worker.lease(limit=1), ["joblot_range"])
    reader.close()
    assert read <= BLOCKS_MAX

"""The search for the first range of a stage, also while a transaction inserts one below it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.ledger.worker import fail, keys, nothing_ready, numbers, succeed
from tests.polling import eventually
from tests.races.meeting import COMMIT, Gate

RANGES = 1_400  # of one item each; their rows fill 23 pages
BLOCKS_MAX = 18  # of one claim or check; a search through the used-up ranges reads more
NEVER = 600.0


@pytest.fixture(autouse=True)
def from_the_beginning(configure: Any, postgres_only: str) -> Iterator[None]:
    """Let the search start over with each claim, as far as its cost allows."""
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


def test_a_check_for_work_does_not_search_through_used_up_ranges(
    postgres_only: str, configure: Any
) -> None:
    configure(range_floor_seconds=NEVER, range_floor_step_seconds=1e-6)
    with job_whose_ranges_are_used_up(postgres_only):
        read = least_read(postgres_only, lambda: not nothing_ready(), ["joblot_range"])
    assert read <= BLOCKS_MAX


@contextmanager
def job_whose_ranges_are_used_up(alias: str) -> Iterator[None]:
    """All ranges but one hundred are used up, and an old snapshot keeps their index entries."""
    job = submit("used up", keys(2 * RANGES), pipeline="p")
    while leases := claim("p", 100).leases:
        numbers_of = numbers(leases[0])
        succeed(leases[0], *numbers_of[::2])
        fail(leases[0], *numbers_of[1::2])
    retry(job.pk)
    assert ItemRange.objects.count() == RANGES
    reader = connections[alias].copy()
    with reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM joblot_job")
        for _ in range(RANGES // 100 - 1):
            succeed(worker.lease(limit=100))
        yield
    reader.close()

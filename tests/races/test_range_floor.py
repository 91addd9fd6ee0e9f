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
MANY = 10_000  # ranges, through which a search takes a millisecond and reads 200 pages
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


def test_nor_does_it_each_time_when_the_floor_is_no_longer_trusted(postgres_only: str) -> None:
    """The search from the beginning takes so long that another one is not due at once."""
    job = submit("idle", keys(MANY), pipeline="p")
    with connections[postgres_only].cursor() as cursor, old_snapshot(postgres_only):
        cursor.execute("DELETE FROM joblot_range WHERE job_id = %s", [job.pk])
        cursor.execute(
            "INSERT INTO joblot_range (job_id, stage, next, last) "
            "SELECT %s, 0, n, n FROM generate_series(0, %s) n",
            [job.pk, MANY - 1],
        )
        for _ in range(MANY // 200 - 1):
            worker.lease(limit=200)
        worker.lease(limit=100)
        for one in queue._cursors.values():
            one.floor_ends = 1.0  # as after a while without a claim
        read = least_read(postgres_only, lambda: not nothing_ready(), ["joblot_range"])
    assert read <= BLOCKS_MAX


def test_a_floor_is_trusted_longer_the_slower_it_is_found(configure: Any) -> None:
    configure(range_floor_seconds=5.0)
    quick, slow, very_slow = (
        [queue.trusted_seconds(seconds) for _ in range(20)] for seconds in (0.0001, 0.02, 60.0)
    )
    assert 2.5 <= min(quick) < max(quick) <= 5  # and no two processes agree
    assert 10 <= min(slow) < max(slow) <= 20
    assert 15 <= min(very_slow) < max(very_slow) <= 30


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
    with old_snapshot(alias):
        for _ in range(RANGES // 100 - 1):
            succeed(worker.lease(limit=100))
        yield


@contextmanager
def old_snapshot(alias: str) -> Iterator[None]:
    """An open transaction that has read, so that no dead row can be removed."""
    reader = connections[alias].copy()
    with reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM joblot_job")
        yield
    reader.close()

"""How often the search for ranges starts over, and what share of a process's time that takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connections

from joblot.ledger.claim import queue
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Job
from tests.ledger import worker
from tests.ledger.worker import keys

CLAIM_SECONDS = 1.0  # between two claims
FLOOR_SECONDS = 5.0
SEARCH_TIME = "clock_timestamp() - statement_timestamp()"  # in the search for the first range


class Time:
    """The queue's clock, which advances between claims and during a search, and the server's time
    of a search.
    """

    def __init__(self, search_seconds: float) -> None:
        self._now = 1_000.0
        self._search_seconds = search_seconds
        self.searches: list[tuple[float, float]] = []  # when each began and ended

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def during(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if SEARCH_TIME not in sql:
            return execute(sql, *rest)
        began = self._now
        self.advance(self._search_seconds)
        self.searches.append((began, self._now))
        taken = f"make_interval(secs => {self._search_seconds})"
        return execute(sql.replace(SEARCH_TIME, taken), *rest)


@pytest.mark.parametrize(
    ("search_seconds", "rest_seconds_max"),
    [
        (0.001, FLOOR_SECONDS),  # quick: as often as is configured
        (0.02, 20.0),  # slower, as while an old snapshot keeps used-up ranges: a thousandth
        (2.0, 30.0),  # but no range below the cursor waits longer than this
    ],
)
def test_starting_over_takes_two_thousandths_of_the_time_unless_a_range_would_wait_too_long(
    postgres_only: str,
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    search_seconds: float,
    rest_seconds_max: float,
) -> None:
    configure(range_floor_seconds=FLOOR_SECONDS, range_floor_step_seconds=86_400.0)
    time = Time(search_seconds)
    monkeypatch.setattr(queue, "time", time)
    submit("large", keys(200), pipeline="p")
    queue.forget()
    for _ in range(ItemRange.objects.count() + 1):  # the last one wraps and raises the floor, once
        worker.lease(limit=1)
    with connections[postgres_only].execute_wrapper(time.during):
        for _ in range(100):
            worker.lease(limit=1)
            time.advance(CLAIM_SECONDS)
    rests = [begins - ended for (_, ended), (begins, _) in pairwise(time.searches)]
    assert len(rests) >= 2
    shortest, longest = rest_seconds_max / 2, rest_seconds_max + CLAIM_SECONDS
    assert all(shortest <= one <= longest for one in rests), rests


def searched_from_the_beginning(time: Time) -> Job:
    """A large job, claimed from until the search for its ranges has started over."""
    queue.forget()
    job = submit("large", keys(200), pipeline="p")
    while not time.searches:
        worker.lease(limit=1)
        time.advance(CLAIM_SECONDS)
    return job


def test_a_job_that_cannot_be_claimed_is_searched_for_once(
    postgres_only: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(range_floor_seconds=FLOOR_SECONDS)
    time = Time(search_seconds=1.0)
    monkeypatch.setattr(queue, "time", time)
    with connections[postgres_only].execute_wrapper(time.during):
        job = searched_from_the_beginning(time)
        assert queue.floors()
        cancel(job.pk)
        before = len(time.searches)
        for _ in range(3):
            time.advance(60.0)
            assert queue.floors() == []
    assert len(time.searches) == before + 1


def test_a_search_that_fails_is_repeated(
    postgres_only: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(range_floor_seconds=FLOOR_SECONDS)
    time = Time(search_seconds=1.0)
    monkeypatch.setattr(queue, "time", time)
    with connections[postgres_only].execute_wrapper(time.during):
        searched_from_the_beginning(time)
        time.advance(60.0)
        with (
            connections[postgres_only].execute_wrapper(_canceled),
            pytest.raises(OperationalError),
        ):
            queue.floors()
        before = len(time.searches)
        queue.floors()
    assert len(time.searches) == before + 1


def _canceled(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
    if "joblot_range" not in sql:
        return execute(sql, *rest)
    raise OperationalError("canceling statement due to statement timeout")

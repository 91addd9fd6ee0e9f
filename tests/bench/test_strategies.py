"""The ways to count that the arena compares: which are right, and that the wrong ones are wrong.

Handlers are threads that meet at a named point, so each order is the same in each run. A handler
that dies is one that raises at a point: its transaction is rolled back, as after a SIGKILL.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from threading import Barrier, Event
from typing import Any

import pytest

from bench.strategies import BY_KEY, STRATEGIES
from bench.strategies.shape import Batch, Strategy
from bench.strategies.world import create_tables, drop_tables, run
from joblot import faults
from tests.polling import eventually

SIZE = 16
FIRST, SECOND = Batch(0, 0, SIZE), Batch(0, SIZE, SIZE)
TOTAL = 2 * SIZE

KEYS = [one.key for one in STRATEGIES]
LOSE_INCREMENTS = {"A0", "A3"}
COUNT_REPEATS = {"A0", "A1", "A2", "A2s", "A3"}
# Points that only one handler at a time can stand at: behind it, the job's row is locked.
ALONE = {("A0", "arena: counted"), ("A1", "arena: counted"), ("A3", "arena: counted"),
         ("A2", "arena: counted"), ("A2u", "arena: counted")}  # fmt: skip
MEETINGS = [(one.key, point) for one in STRATEGIES for point in one.points]
SECONDS_MAX = 30
WAITS_FOR_A_LOCK = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND wait_event_type = 'Lock'
"""


class Died(Exception):
    """A handler has died here."""


@pytest.fixture(scope="session")
def redis_server() -> Iterator[None]:
    if shutil.which("redis-server") is None:
        pytest.skip("NO REDIS: install it (Debian: apt-get install redis-server)")
    from bench.arena.servers import RedisServer

    with RedisServer():
        yield


@pytest.fixture
def job(postgres_only: str, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Strategy]]:
    """`job("A1")` makes a job of two batches, counted in this way."""
    create_tables()

    def make(key: str) -> Strategy:
        kind = BY_KEY[key]
        if kind.needs_redis:
            request.getfixturevalue("redis_server")
        strategy = kind()
        strategy.setup([TOTAL], [FIRST, SECOND])
        return strategy

    yield make
    drop_tables()


def settle(strategy: Strategy) -> None:
    if background := strategy.background():
        for _ in range(3):
            background()


def end_of(strategy: Strategy) -> tuple[int, bool, int]:
    """The items counted, whether the job has ended, and how often that was announced."""
    settle(strategy)
    return strategy.counts(0), strategy.finished(0), strategy.finals(0)


def meet(strategy: Strategy, point: str, batches: list[Batch], in_thread: Any) -> None:
    """Each batch in a handler of its own; none passes the point before all have reached it."""
    meeting = Barrier(len(batches))
    with faults.armed(point, lambda: (meeting.wait(SECONDS_MAX), None)[1]):
        for running in [in_thread(strategy.handle, batch) for batch in batches]:
            running.result()


def die(strategy: Strategy, point: str, batch: Batch) -> None:
    def died() -> None:
        raise Died

    with faults.armed(point, died), pytest.raises(Died):
        strategy.handle(batch)


RIGHT = (TOTAL, True, 1)


@pytest.mark.parametrize("key", KEYS)
def test_one_batch_after_the_other_is_right_in_all_of_them(key, job):
    strategy = job(key)
    strategy.handle(FIRST)
    settle(strategy)
    assert (strategy.counts(0), strategy.finished(0), strategy.finals(0)) == (SIZE, False, 0)
    strategy.handle(SECOND)
    assert end_of(strategy) == RIGHT


@pytest.mark.parametrize("key", sorted(LOSE_INCREMENTS))
def test_two_handlers_that_have_both_read_lose_an_increment(key, job, in_thread):
    strategy = job(key)
    meet(strategy, "arena: read", [FIRST, SECOND], in_thread)
    assert end_of(strategy) == (SIZE, False, 0)  # half is lost, so the job never ends


@pytest.mark.parametrize(("key", "point"), [("A1", "arena: read"), ("A2", "arena: counted")])
def test_behind_a_lock_the_second_waits_for_the_commit_of_the_first(key, point, job, in_thread):
    strategy = job(key)
    reached, passes = Event(), Event()

    def stop_the_first() -> None:
        if not reached.is_set():
            reached.set()
            assert passes.wait(SECONDS_MAX)

    with faults.armed(point, stop_the_first):
        first = in_thread(strategy.handle, FIRST)
        assert reached.wait(SECONDS_MAX)
        second = in_thread(strategy.handle, SECOND)
        eventually(lambda: run(WAITS_FOR_A_LOCK) == [(1,)])
        passes.set()
        first.result()
        second.result()
    assert end_of(strategy) == RIGHT


@pytest.mark.parametrize(
    ("key", "point"),
    [one for one in MEETINGS if one not in ALONE and one[0] not in LOSE_INCREMENTS],
)
def test_two_handlers_that_meet_anywhere_else_are_counted_and_one_ends_the_job(
    key, point, job, in_thread
):
    strategy = job(key)
    meet(strategy, point, [FIRST, SECOND], in_thread)
    assert end_of(strategy) == RIGHT


@pytest.mark.parametrize("key", [key for key in KEYS if key not in COUNT_REPEATS])
def test_a_batch_that_comes_twice_counts_once(key, job, in_thread):
    strategy = job(key)
    for running in [in_thread(strategy.handle, FIRST) for _ in range(2)]:
        running.result()
    settle(strategy)
    assert (strategy.counts(0), strategy.finished(0)) == (SIZE, False)
    strategy.handle(SECOND)
    strategy.handle(SECOND)
    assert end_of(strategy) == RIGHT


@pytest.mark.parametrize("key", sorted(COUNT_REPEATS))
def test_counters_of_what_was_handled_count_a_repeat(key, job):
    strategy = job(key)
    strategy.handle(FIRST)
    strategy.handle(FIRST)
    assert end_of(strategy) == (TOTAL, True, 1)  # ended, and half of it was never done


# A handler has died there, and its batch comes again: it is counted twice, or nobody ends the job.
WRONG_AFTER_A_DEATH = {
    ("A2", "arena: committed"): (TOTAL + SIZE, True, 1),
    ("A2s", "arena: counted"): (TOTAL + SIZE, True, 1),
    ("A2s", "arena: committed"): (TOTAL + SIZE, True, 1),
    ("A3", "arena: committed"): (TOTAL + SIZE, True, 1),
    ("A10", "arena: counted"): (TOTAL, False, 0),
}


@pytest.mark.parametrize(("key", "point"), MEETINGS)
def test_what_a_handler_that_dies_with_the_last_batch_leaves(key, point, job):
    strategy = job(key)
    strategy.handle(FIRST)
    die(strategy, point, SECOND)
    strategy.handle(SECOND)
    assert end_of(strategy) == WRONG_AFTER_A_DEATH.get((key, point), RIGHT)


@pytest.mark.parametrize("key", KEYS)
def test_who_keeps_a_cancel_when_the_last_results_arrive(key, job):
    strategy = job(key)
    strategy.handle(FIRST)
    strategy.cancel(0)
    strategy.handle(SECOND)
    settle(strategy)
    kept = (strategy.status(0), strategy.finals(0))
    assert kept == (("SUCCESS", 1) if key in {"A0", "A1"} else ("REVOKED", 0))


@pytest.mark.parametrize("key", KEYS)
def test_only_the_ledger_refuses_a_stale_save_by_other_code(key, job):
    strategy = job(key)
    save = strategy.stale_save(0)
    strategy.handle(FIRST)
    strategy.handle(SECOND)
    assert end_of(strategy) == RIGHT
    save()
    assert strategy.finished(0) == (key in {"J", "Jt"})

"""The handlers of a pipeline, and how many items a call gets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from joblot.errors import InvalidInput, Unavailable
from joblot.wire import ClaimedItem
from joblot.worker import handler as make
from joblot.worker import handlers, work
from joblot.worker.backoff import backoff_seconds
from joblot.worker.handlers import Handler, by_pipeline, declared
from joblot.worker.pace import CLAIM_BYTES_AIM, Pace


@pytest.fixture(autouse=True)
def own_declarations() -> Iterator[None]:
    before = list(handlers._declared)
    handlers._declared.clear()
    yield
    handlers._declared[:] = before


def _items(*payloads: Any) -> list[ClaimedItem]:
    return [ClaimedItem(n, f"k{n}", payload, None, 1) for n, payload in enumerate(payloads)]


def _outputs(one: Handler, *payloads: Any) -> list[Any]:
    return [result.output for results in one.work(_items(*payloads)) for result in results]


def test_a_function_says_what_it_serves_and_stays_a_function():
    @work("double")
    def double(n: int) -> int:
        return 2 * n

    @work("add", batch=3)
    def add(numbers: list[int]) -> list[int]:
        return [n + 1 for n in numbers]

    assert double(2) == 4
    served = by_pipeline(declared())
    assert {name: one.batch_items for name, one in served.items()} == {"double": 1, "add": 3}
    assert _outputs(served["double"], 1, 2) == [2, 4]
    assert _outputs(served["add"], 1, 2) == [2, 3]


def test_what_is_declared_gives_way_to_what_is_said_later():
    @work("declared", batch=3)
    def f(given: list[int]) -> list[int]:
        return given

    (one,) = declared(f, pipeline="said", batch=5)
    assert (one.pipeline, one.batch_items) == ("said", 5)
    assert declared(len) == []


def test_a_function_may_get_the_whole_item():
    @work("p", whole_item=True)
    def f(item: ClaimedItem) -> list[Any]:
        return [item.key, item.input, item.attempt]

    (one,) = declared()
    assert _outputs(one, "x") == [["k0", None, 1]]


def test_async_functions_are_waited_for_on_one_loop():
    loops = set()

    @work("one")
    async def one(n: int) -> int:
        loops.add(id(asyncio.get_running_loop()))
        return n

    @work("batch", batch=9)
    async def batch(numbers: list[int]) -> list[int]:
        return list(await asyncio.gather(*map(one, numbers)))

    class Callable:
        async def __call__(self, n: int) -> int:
            return -n

    served = by_pipeline(declared())
    assert _outputs(served["one"], 1, 2, 3) == [1, 2, 3]
    assert len(loops) == 1
    assert _outputs(served["batch"], 1, 2) == [1, 2]
    assert _outputs(make("p", Callable()), 4) == [-4]


def test_an_async_function_that_raises_fails_its_item_only():
    async def picky(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        return n

    results = [r for results in make("p", picky).work(_items(1, 2, 3)) for r in results]
    assert [result.succeeded for result in results] == [True, False, True]


def test_each_item_tried_alone_is_progress():
    """So that a batch of slow items, tried one by one, does not count as frozen."""
    calls: list[Any] = []

    def picky(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        if len(numbers) > 1:
            raise MemoryError
        return numbers

    work = make("p", picky, batch=3).work(_items(1, 2, 3))
    seen = [(len(calls), [result.output for result in results]) for results in work]
    assert seen == [(2, [1]), (3, [2]), (4, [3])]


@pytest.mark.parametrize(
    ("items_max", "bytes_max", "sizes"),
    [(2, 10**6, [2, 2, 1]), (9, 10**6, [5]), (9, 250, [2, 2, 1]), (9, 1, [1, 1, 1, 1, 1])],
)
def test_calls_are_bounded_by_items_and_by_bytes(items_max: int, bytes_max: int, sizes: list[int]):
    one = Handler("p", lambda items: iter(()), items_max, bytes_max)
    items = _items(*["x" * 100] * 5)
    calls = list(one.calls(items))
    assert [len(call) for call in calls] == sizes
    assert [item for call in calls for item in call] == items


def test_two_functions_for_one_pipeline_and_none_at_all_are_reported():
    with pytest.raises(InvalidInput, match="got two"):
        by_pipeline([make("p", len), make("p", str)])
    with pytest.raises(InvalidInput, match="found none"):
        by_pipeline([])
    with pytest.raises(InvalidInput, match="batch"):
        work("p", batch=-1)
    with pytest.raises(InvalidInput, match="pipeline"):
        work("")


def test_a_claim_is_no_larger_than_what_is_worked_in_a_second_or_held_in_memory():
    pace = Pace(1.0, 4, 1_000)
    assert pace.limit() == 4
    pace.measure(4, 0.04)
    assert pace.limit() == 100
    pace.weigh(10, CLAIM_BYTES_AIM)
    assert pace.limit() == 10
    slow = Pace(1.0, 4, 1_000)
    slow.measure(4, 60.0)
    assert slow.limit() == 4
    assert slow.call_seconds() == 60.0


def test_a_wait_is_no_shorter_than_what_the_server_asks_for():
    assert backoff_seconds(0) <= 0.5
    assert backoff_seconds(50) <= 30
    assert 7 <= backoff_seconds(0, Unavailable("", 7)) <= 7 * 1.25
    assert len({backoff_seconds(3) for _ in range(20)}) > 1

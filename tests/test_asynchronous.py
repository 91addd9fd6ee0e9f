"""The functions for async code, under asyncio, with the ledger that synchronous code uses."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections

import joblot
from joblot import asynchronous
from joblot.errors import InvalidPolicy, NotFound
from joblot.ledger.read.progress import progress
from tests.ledger.worker import keys

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def under_asyncio(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """As in a notebook: the calls run in a thread that is kept, with connections of its own."""

    async def closing() -> Any:
        try:
            return await main()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing())


@pytest.fixture(params=[under_asyncio, lambda main: async_to_sync(main)()], ids=["asyncio", "asgi"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


def test_a_job_is_worked_off_by_coroutines(ledger_db: str, run: Run) -> None:
    async def main() -> int:
        job = await joblot.asubmit("night", keys(5), pipeline="p")
        (lease,) = (await joblot.aclaim("p", 3)).leases
        await joblot.arenew(lease.token)
        receipts = await joblot.areport(
            lease.token, [joblot.success(item.id, item.key.upper()) for item in lease.items]
        )
        assert [one.receipt for one in receipts] == ["counted"] * 3
        (lease,) = (await joblot.aclaim("p")).leases
        await joblot.areport(lease.token, [joblot.failure(lease.items[0].id, "Bad", "broken")])
        assert await joblot.arelease(lease.token) == 1
        await joblot.aretry(job.pk, failed=True)
        assert (await joblot.aprogress(job.pk))["stages"][0]["succeeded"] == 3
        assert [one async for one in joblot.aoutputs(job.pk)] == [
            ("k0", "K0"),
            ("k1", "K1"),
            ("k2", "K2"),
        ]
        assert "ready" in {one["code"] for one in (await joblot.awhy(job.pk))["reasons"]}
        return int(job.pk)

    assert progress(run(main))["stages"][0]["ready"] == 2


def test_items_come_from_an_async_iterator(ledger_db: str, run: Run) -> None:
    async def rows(first: int, last: int) -> AsyncIterator[str]:
        for n in range(first, last):
            if n % 200 == 0:
                await asyncio.sleep(0)
            yield f"k{n}"

    async def main() -> int:
        job = await joblot.asubmit("night", rows(0, 1_200), pipeline="p", seal=False)
        assert await joblot.aadd_items(job.pk, rows(1_000, 1_500)) == 300
        await joblot.aseal(job.pk)
        return int(job.pk)

    state = progress(run(main))
    assert (state["total"], state["sealed"]) == (1_500, True)


def test_other_coroutines_go_on_meanwhile(ledger_db: str) -> None:
    """A submit that waits for an item blocks no other task, in whatever thread it waits."""
    arrived = threading.Event()

    def slow() -> Iterator[str]:
        yield "first"
        assert arrived.wait(30)
        yield "second"

    async def main() -> int:
        submitting = asyncio.create_task(as_task(joblot.asubmit("night", slow(), pipeline="p")))
        await asyncio.sleep(0)
        arrived.set()
        return int((await submitting).total)

    assert under_asyncio(main) == 2


async def as_task(call: Awaitable[Any]) -> Any:
    return await call


def test_errors_are_those_of_the_verb(ledger_db: str, run: Run) -> None:
    async def main() -> None:
        with pytest.raises(NotFound):
            await joblot.aprogress(987_654)
        with pytest.raises(InvalidPolicy):
            await joblot.asubmit("night", [], pipeline="p", policy={"failures_max": 0})

    run(main)


def test_each_has_the_name_of_its_verb() -> None:
    for name, call in vars(asynchronous).items():
        if inspect.iscoroutinefunction(call) and hasattr(call, "__wrapped__"):
            assert (call.__name__, name[1:]) == (name, call.__wrapped__.__name__)
            assert name in joblot.__all__

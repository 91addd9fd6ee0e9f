"""Chancy on PostgreSQL: `push_many`, and two workers.

Tuned: the asynchronous executor, so that no job crosses to another process; 16 or 256 jobs fetched
at once (a worker fetches as many as its concurrency has room for), and the next fetched as soon as
one is done.
https://tkte.ch/chancy/ (Queue: concurrency, eager_polling; executors)
Jobs could be grouped in a workflow, but that is one row of JSON for all of its steps, so it is not
used here: nothing fires when all are done.
"""

from __future__ import annotations

import asyncio
import sys

from chancy import Chancy, Queue, Worker, job
from note import BATCH, DATABASE_URL, ITEMS, TUNED, ran


@job(queue="default")
def one(*, number: int) -> None:
    ran(number)


@job(queue="default")
async def one_async(*, number: int) -> None:
    ran(number)


async def prepare() -> None:
    async with Chancy(DATABASE_URL) as chancy:
        await chancy.migrate()
        tuned = {
            "concurrency": BATCH,
            "executor": Chancy.Executor.Async,
            "eager_polling": True,
        }
        await chancy.declare(Queue("default", **(tuned if TUNED else {})))


async def submit() -> None:
    import chancy_pg

    work = chancy_pg.one_async if TUNED else chancy_pg.one
    async with Chancy(DATABASE_URL) as chancy:
        jobs = [work.job.with_kwargs(number=number) for number in range(ITEMS)]
        async for _ in chancy.push_many(jobs):
            pass


async def drain() -> None:
    async with Chancy(DATABASE_URL) as chancy, Worker(chancy) as worker:
        await worker.wait_for_shutdown()


if __name__ == "__main__":
    asyncio.run({"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]())

"""Procrastinate on PostgreSQL: `batch_defer`, and two worker processes.

Tuned: several asynchronous jobs at a time in each process, finished jobs deleted, and stalled jobs
retried by a periodic task as its guide says, every minute.
https://procrastinate.readthedocs.io/en/stable/howto/production/delete_finished_jobs.html
https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
https://procrastinate.readthedocs.io/en/stable/howto/basics/batch_defer.html
It has no groups: nothing fires when all are done.
"""

from __future__ import annotations

import asyncio
import sys

import procrastinate
from note import DATABASE_URL, ITEMS, TUNED, ran

CHUNK = 1_000
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE_URL))


@app.task(name="one")
async def one(number: int) -> None:
    ran(number)


if TUNED:

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
    async def retry_stalled_jobs(context: object, timestamp: int) -> None:
        for job in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(job)


async def prepare() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def submit() -> None:
    async with app.open_async():
        for start in range(0, ITEMS, CHUNK):
            chunk = range(start, min(start + CHUNK, ITEMS))
            await one.batch_defer_async(*({"number": number} for number in chunk))


async def drain() -> None:
    async with app.open_async():
        if TUNED:
            await app.run_worker_async(concurrency=10, delete_jobs="successful")
        else:
            await app.run_worker_async()


if __name__ == "__main__":
    asyncio.run({"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]())

"""awa on PostgreSQL: rows by COPY, and two worker processes.

Tuned: 64 handlers at a time in each process; 16 and 256 set this number.
https://github.com/hardbyte/awa/blob/main/docs/configuration.md
It has no groups: nothing fires when all are done.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import awa
from note import BATCH, DATABASE_URL, ITEMS, ran

CHUNK = 1_000
URL = DATABASE_URL.replace("@/", "@localhost/")  # it wants a host, though the query names a socket


@dataclass
class One:
    number: int


async def prepare() -> None:
    """Its queue storage, the faster of its two engines."""
    client = awa.AsyncClient(URL)
    await client.migrate()
    await client.install_queue_storage(schema="awa")


async def submit() -> None:
    client = awa.AsyncClient(URL)
    for start in range(0, ITEMS, CHUNK):
        chunk = range(start, min(start + CHUNK, ITEMS))
        await client.enqueue_many_copy([One(number) for number in chunk])


async def drain() -> None:
    client = awa.AsyncClient(URL)

    @client.task(One, queue="default")
    async def one(job: awa.Job[One]) -> None:
        ran(job.args.number)

    await client.start([("default", BATCH or 4)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run({"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]())

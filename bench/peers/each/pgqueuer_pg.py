"""PgQueuer on PostgreSQL: `enqueue` of lists, and two worker processes.

Tuned: a larger batch_size for short jobs, and `pgq autovac`. Its faster "balanced" durability keeps
the log of finished jobs in an unlogged table, so it is not used here.
The workers call `PgQueuer.run`: the command `pgq run` of this version fails with the newest Typer.
https://github.com/janbjorge/pgqueuer/blob/main/docs/guides/performance-tuning.md
It counts what is done in a log table, but has no groups: nothing fires when all are done.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import asyncpg
from note import BATCH, ITEMS, TUNED, program, ran
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

CHUNK = 1_000
PGQ = program("pgq")


def prepare() -> None:
    subprocess.run([PGQ, "install"], check=True)
    if TUNED:
        subprocess.run([PGQ, "autovac"], check=True)


async def enqueue() -> None:
    queries = Queries(AsyncpgDriver(await asyncpg.connect()))
    for start in range(0, ITEMS, CHUNK):
        chunk = range(start, min(start + CHUNK, ITEMS))
        payloads = [str(number).encode() for number in chunk]
        await queries.enqueue(["one"] * len(chunk), payloads, [0] * len(chunk))


def submit() -> None:
    asyncio.run(enqueue())


async def work() -> None:
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect()))

    @queue.entrypoint("one")
    async def one(job: Job) -> None:
        assert job.payload is not None
        ran(int(job.payload))

    await queue.run(**({"batch_size": BATCH} if BATCH else {}))


def drain() -> None:
    asyncio.run(work())


if __name__ == "__main__":
    {"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]()

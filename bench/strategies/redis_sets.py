"""A4, A5, A10: sets of items in Redis; the rows and the job's status are in PostgreSQL.

Rows are saved before Redis is told, so that a handler that dies between the two leaves an item
open, not a result lost; the batch comes again, and to remove a member twice changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from bench.strategies.shape import Batch
from bench.strategies.world import Arena, finish, one, run, save
from joblot import faults

SOCKET = "JOBLOT_BENCH_REDIS"  # in the environment: the server's socket
WRITE = "UPDATE arena_job SET done = %(done)s WHERE id = %(job)s"

# Add the members; true for the call that makes the set complete, and only once.
COMPLETE = """
redis.call('SADD', KEYS[1], unpack(ARGV))
if redis.call('SCARD', KEYS[1]) == tonumber(redis.call('GET', KEYS[2]))
    and redis.call('SETNX', KEYS[3], 1) == 1 then
    return 1
end
return 0
"""

# Threads: a client is safe to share; each process has its own, by its id.
_clients: dict[int, Any] = {}


def client() -> Any:
    import redis

    mine = _clients.get(os.getpid())
    if mine is None:
        mine = redis.Redis(unix_socket_path=os.environ[SOCKET])
        _clients[os.getpid()] = mine
    return mine


class _Sets(Arena):
    needs_redis = True
    points = ("arena: saved", "arena: counted")

    def setup(self, sizes: Sequence[int], batches: Sequence[Batch]) -> None:
        super().setup(sizes, batches)
        client().flushall()
        for job, total in enumerate(sizes):
            client().set(f"{job}:total", total)
            self.fill(job, total)

    def fill(self, job: int, total: int) -> None:
        for first in range(0, total, 10_000):
            client().sadd(f"{job}:open", *range(first, min(first + 10_000, total)))

    def done(self, job: int) -> int | None:
        """None where Redis knows nothing of the job."""
        total, left = client().pipeline().get(f"{job}:total").scard(f"{job}:open").execute()
        return None if total is None else int(total) - int(left)


class Rendered(_Sets):
    """One process reads the sets ten times a second, and writes the jobs' rows."""

    key = "A4"
    what = "Redis set, rendered by one writer"

    def handle(self, batch: Batch) -> None:
        save(batch)
        faults.point("arena: saved")
        client().srem(f"{batch.job}:open", *batch.numbers)
        faults.point("arena: counted")

    def background(self) -> Callable[[], None]:
        return self.render

    def render(self) -> None:
        for job, total in run("SELECT id, total FROM arena_job WHERE status = 'STARTED'"):
            done = self.done(job)
            if done is not None:
                run(WRITE, job=job, done=done)
                if done >= total:
                    finish(job)

    def counts(self, job: int) -> int:
        return int(one("SELECT done FROM arena_job WHERE id = %(job)s", job=job))


class ComputedOnRead(_Sets):
    """A reader asks Redis; the handler that empties the set ends the job."""

    key = "A5"
    what = "Redis set, computed on read"

    def handle(self, batch: Batch) -> None:
        save(batch)
        faults.point("arena: saved")
        with client().pipeline() as pipe:
            pipe.srem(f"{batch.job}:open", *batch.numbers).scard(f"{batch.job}:open")
            _, left = pipe.get(f"{batch.job}:total").execute()[:2]
        faults.point("arena: counted")
        if left == 0:
            finish(batch.job)

    def counts(self, job: int) -> int:
        return self.done(job) or 0


class Lua(_Sets):
    """A script adds the batch and says, once, that the set is complete, as a chord's counter."""

    key = "A10"
    what = "Lua script in Redis"

    def fill(self, job: int, total: int) -> None:
        pass

    def handle(self, batch: Batch) -> None:
        save(batch)
        faults.point("arena: saved")
        keys = [f"{batch.job}:done", f"{batch.job}:total", f"{batch.job}:fired"]
        complete = client().eval(COMPLETE, len(keys), *keys, *batch.numbers)
        faults.point("arena: counted")
        if complete:
            finish(batch.job)

    def counts(self, job: int) -> int:
        return int(client().scard(f"{job}:done"))

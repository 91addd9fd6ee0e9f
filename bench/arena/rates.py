"""How fast, and at what cost: every strategy for a slice of time in the same circumstances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.arena import cost
from bench.arena.handlers import WARM, Crew, Task
from bench.arena.servers import RedisServer, analyze, empty, set_commit_delay
from bench.strategies import BY_KEY
from bench.strategies.shape import Batch, Strategy
from joblot.testing.postgres import PostgresServer

# Batches per second that are prepared, by results a batch. A faster strategy ends its slice early.
PLENTY = {1: 4_000, 16: 2_500, 64: 1_000, 256: 300}
SETTLE_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """The circumstances. `delay` is added to each commit of PostgreSQL, in microseconds."""

    handlers: int = 32
    jobs: int = 1
    size: int = 16
    delay: int = 2_000
    sync: str = "always"  # Redis' appendfsync

    def __str__(self) -> str:
        commit = "2 ms" if self.delay else "disk"
        sync = "" if self.sync == "always" else f", Redis {self.sync}"
        return f"{self.handlers} handlers, {self.jobs} jobs, {self.size} a batch, {commit}{sync}"


@dataclass(frozen=True, slots=True)
class Rate:
    """A slice. Milliseconds and bytes; `error` is the count at the end minus the truth."""

    key: str
    batches_per_second: float
    client_ms: float
    server_ms: float
    p50_ms: float
    p99_ms: float
    wal_per_item: float
    dead_per_item: float
    disk_per_item: float
    error: int
    finals: int  # of jobs that are not at their end, so there must be none

    @property
    def cpu_ms(self) -> float:
        return self.client_ms + self.server_ms

    def row(self) -> dict[str, Any]:
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def work_of(cell: Cell, batches: float) -> tuple[list[list[Batch]], list[int]]:
    """The batches of each handler, which has one job, and the sizes of the jobs.

    The last batch of a job is given to nobody, as long as a job is not at its end.
    """
    each = WARM + max(3, round(batches / cell.handlers))
    nexts = [0] * cell.jobs
    work: list[list[Batch]] = [[] for _ in range(cell.handlers)]
    for _ in range(each):
        for handler, mine in enumerate(work):
            job = handler % cell.jobs
            mine.append(Batch(job, nexts[job], cell.size))
            nexts[job] += cell.size
    return work, [first + cell.size for first in nexts]


def measure(
    key: str,
    cell: Cell,
    seconds: float,
    postgres: PostgresServer,
    redis: RedisServer,
    *,
    last: float | None = None,
) -> Rate:
    """`last` is the rate found before: then no more is prepared than will be needed."""
    strategy = BY_KEY[key]()
    expected = min(PLENTY[cell.size], 2 * last) if last else PLENTY[cell.size]
    set_commit_delay(0)  # the setup need not wait
    empty()
    redis.sync(cell.sync)
    work, sizes = work_of(cell, seconds * expected)
    strategy.setup(sizes, [batch for mine in work for batch in mine])
    analyze()
    set_commit_delay(cell.delay)
    before = cost.Written.now()
    crew = Crew(Task(strategy, seconds, WARM, None), work)
    crew.warm_up()
    pids = (_postmaster(postgres), redis.pid)
    server, wal = cost.processor_seconds(*pids), cost.wal()
    crew.begin()
    acts = crew.end()
    server, wal = cost.processor_seconds(*pids) - server, cost.wal() - wal
    crew.release()
    after = cost.Written.now()
    done = acts.handled * cell.size
    timed = len(acts.latencies)
    return Rate(
        key=key,
        batches_per_second=acts.rate,
        client_ms=1e3 * acts.client / timed,
        server_ms=1e3 * server / timed,
        p50_ms=1e3 * acts.percentile(0.5),
        p99_ms=1e3 * acts.percentile(0.99),
        wal_per_item=wal / (timed * cell.size),
        dead_per_item=(after.dead - before.dead) / done,
        disk_per_item=(after.disk - before.disk) / done,
        error=settled_count(strategy, range(cell.jobs), done) - done,
        finals=sum(map(strategy.finals, range(cell.jobs))),
    )


def settled_count(strategy: Strategy, jobs: Sequence[int], expected: int) -> int:
    """What the jobs count once the background has had every chance to catch up."""
    background = strategy.background()
    for _ in range(SETTLE_ROUNDS):
        found = sum(map(strategy.counts, jobs))
        if found == expected or background is None:
            break
        background()
    return found


def _postmaster(postgres: PostgresServer) -> int:
    return int((postgres.data_dir / "postmaster.pid").read_text().splitlines()[0])

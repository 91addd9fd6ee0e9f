"""A handler dies by SIGKILL at a named point, and what it held is delivered again.

One batch after the other, so that each run is the same: a batch in the middle of the job, or the
last one, whose handler would have ended the job. Afterwards the background runs a few rounds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections

from bench.arena.handlers import fork
from bench.arena.servers import empty
from bench.strategies import BY_KEY
from bench.strategies.redis_sets import client
from bench.strategies.shape import Batch, Strategy
from joblot import faults

BATCHES, SIZE = 10, 16
ROUNDS = 3  # of the background afterwards
MIDDLE, LAST = 4, BATCHES - 1
REDIS_EMPTIED = "Redis is emptied"


@dataclass(frozen=True, slots=True)
class Killed:
    """What a reader is told in the end; right is: all counted, ended, announced once."""

    key: str
    point: str
    batch: str  # middle or last
    error: int
    finished: bool
    finals: int

    @property
    def right(self) -> bool:
        return self.error == 0 and self.finished and self.finals == 1

    def row(self) -> dict[str, Any]:
        return asdict(self) | {"right": self.right}


def all_kills(key: str) -> list[Killed]:
    strategy = BY_KEY[key]
    found = [
        kill_at(key, point, where) for point in strategy.points for where in ("middle", "last")
    ]
    return found + ([redis_emptied(key)] if strategy.needs_redis else [])


def kill_at(key: str, point: str, where: str) -> Killed:
    strategy, batches = _set_up(key)
    dies = batches[MIDDLE if where == "middle" else LAST]
    for batch in batches:
        if batch == dies:
            _handle_and_die(strategy, batch, point)
        strategy.handle(batch)
    return _judged(strategy, point, where)


def redis_emptied(key: str) -> Killed:
    """As `cache.clear()`, an eviction, or a restart without its file do it."""
    strategy, batches = _set_up(key)
    for batch in batches:
        if batch == batches[MIDDLE]:
            client().flushall()
        strategy.handle(batch)
    return _judged(strategy, REDIS_EMPTIED, "middle")


def _set_up(key: str) -> tuple[Strategy, Sequence[Batch]]:
    empty()
    strategy = BY_KEY[key]()
    batches = [Batch(0, number * SIZE, SIZE) for number in range(BATCHES)]
    strategy.setup([BATCHES * SIZE], batches)
    return strategy, batches


def _handle_and_die(strategy: Strategy, batch: Batch, point: str) -> None:
    connections.close_all()
    process = fork.Process(target=_dying, args=(strategy, batch, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the handler did not pass {point!r}"


def _dying(strategy: Strategy, batch: Batch, point: str) -> None:
    with faults.armed(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        strategy.handle(batch)


def _judged(strategy: Strategy, point: str, where: str) -> Killed:
    if background := strategy.background():
        for _ in range(ROUNDS):
            background()
    return Killed(
        key=strategy.key,
        point=point,
        batch=where,
        error=strategy.counts(0) - BATCHES * SIZE,
        finished=strategy.finished(0),
        finals=strategy.finals(0),
    )

"""Who can still clobber a job: a handler after a cancel, and a stale save by other code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.arena.servers import empty
from bench.strategies import BY_KEY
from bench.strategies.shape import Batch, Strategy

BATCHES, SIZE = 4, 16
TOTAL = BATCHES * SIZE


@dataclass(frozen=True, slots=True)
class Clobbered:
    """What is left of a cancel after the last results, and of the end after a stale save."""

    key: str
    cancelled_status: str  # REVOKED is right
    cancelled_finals: int  # none, or a cancelled job is announced as finished
    saved_status: str  # SUCCESS is right
    saved_error: int  # the count after the stale save, minus the truth

    def row(self) -> dict[str, Any]:
        return asdict(self)


def probe(key: str) -> Clobbered:
    cancelled = _set_up(key)
    _handle(cancelled, range(BATCHES - 1))
    cancelled.cancel(0)
    _handle(cancelled, range(BATCHES - 1, BATCHES))
    _settle(cancelled)
    status, finals = cancelled.status(0), cancelled.finals(0)

    saved = _set_up(key)
    _handle(saved, range(1))
    save = saved.stale_save(0)
    _handle(saved, range(1, BATCHES))
    _settle(saved)
    save()
    return Clobbered(key, status, finals, saved.status(0), saved.counts(0) - TOTAL)


def _set_up(key: str) -> Strategy:
    empty()
    strategy = BY_KEY[key]()
    strategy.setup([TOTAL], [Batch(0, n * SIZE, SIZE) for n in range(BATCHES)])
    return strategy


def _handle(strategy: Strategy, numbers: range) -> None:
    for number in numbers:
        strategy.handle(Batch(0, number * SIZE, SIZE))


def _settle(strategy: Strategy) -> None:
    if background := strategy.background():
        for _ in range(3):
            background()

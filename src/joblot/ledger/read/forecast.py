"""When a stage will be done, from how much was settled in each recent interval. Pure.

A block bootstrap: the future is drawn from blocks of the past, many times, and the quantiles of the
ends are the answer. Blocks keep what neighboring intervals have in common. Rates also drift, and
nobody knows which part of the past still holds. So each draw uses a recent part of random length,
and changes the rate as it changed between two parts of the past, more so the longer the future is.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

DRAWS = 200
BLOCK = 6  # intervals
PART_MIN = 6  # intervals: the shortest recent part that a draw uses
DRIFT_MAX = 4.0  # the largest factor by which a draw changes the rate
KEPT = 32  # histories whose futures are kept, of about 150 kB each


class Forecast(NamedTuple):
    """Seconds until the end: half of the draws end by `p50`, nine in ten by `p90`."""

    p50: float
    p90: float


class _Future(NamedTuple):
    """One draw, whatever is left to do."""

    reached: array[float]  # items settled by the end of each interval, without the drift
    change: float  # of the rate, between two parts of the past

    def end(self, items: int) -> float:
        """In intervals. Beyond the length of the history, the rate that was drawn continues."""
        all_settled = self.reached[-1]
        if not all_settled:
            return math.inf
        needed = items / self._drift(items / all_settled)
        n = bisect_left(self.reached, needed)
        if n == len(self.reached):
            return n * needed / all_settled
        before = self.reached[n - 1] if n else 0.0
        return n + (needed - before) / (self.reached[n] - before)

    def _drift(self, ahead: float) -> float:
        """`ahead` is what is left in histories: a short future drifts less, a long one more."""
        exponent = math.sqrt(min(2.0, max(0.3, ahead)))
        return float(min(DRIFT_MAX, max(1 / DRIFT_MAX, self.change**exponent)))


def forecast(
    stages: Sequence[Sequence[float]], remaining: Sequence[int], seconds: float, seed: str
) -> Forecast | None:
    """The end of all stages: in each draw, the last one's. The same seed gives the same answer.

    `stages` has for each stage the items settled in each interval of `seconds`, oldest first;
    `remaining` its open items. None if a stage with open items has settled none.
    """
    open_stages = [
        (position, tuple(history), items)
        for position, (history, items) in enumerate(zip(stages, remaining, strict=True))
        if items > 0
    ]
    if not all(sum(history) > 0 for _, history, _ in open_stages):
        return None
    ends = [0.0] * DRAWS
    for position, history, items in open_stages:
        futures = _futures(history, f"{seed}:{position}")
        ends = [max(end, one.end(items)) for end, one in zip(ends, futures, strict=True)]
    ends.sort()
    return Forecast(ends[DRAWS // 2] * seconds, ends[DRAWS * 9 // 10] * seconds)


# Threads: a cache; at worst two threads draw the same futures. A job that is watched is asked each
# second, while its history changes only with each sample.
@lru_cache(maxsize=KEPT)
def _futures(history: tuple[float, ...], seed: str) -> tuple[_Future, ...]:
    chance = random.Random(seed)
    return tuple(_drawn(history, chance) for _ in range(DRAWS))


def _drawn(history: tuple[float, ...], chance: random.Random) -> _Future:
    """Blocks of consecutive intervals, from random places of a part that is closed to a ring."""
    length = len(history)
    part = history[-chance.randint(min(PART_MIN, length), length) :]
    ring = part + part[:BLOCK] * BLOCK
    settled: list[float] = []
    while len(settled) < length:
        first = chance.randrange(len(part))
        settled += ring[first : first + BLOCK]
    return _Future(array("d", accumulate(settled[:length])), _change(history, chance))


def _change(history: tuple[float, ...], chance: random.Random) -> float:
    """How the rate differed between two random parts of the past, of the same length."""
    half = max(1, len(history) // 2)
    length = chance.randint(min(PART_MIN, half), half)
    earlier, later = (
        sum(history[first : first + length])
        for first in (chance.randrange(len(history) - length + 1) for _ in range(2))
    )
    return later / earlier if earlier > 0 and later > 0 else 1.0

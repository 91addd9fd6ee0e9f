"""When a stage will be done, from how much was settled in each recent interval. Pure.

A block bootstrap: the future is drawn from blocks of the past, many times, and the quantiles of the
ends are the answer. Blocks keep what neighboring intervals have in common. Rates also drift, and
nobody knows which part of the past still holds. So each draw uses a recent part of random length,
and changes the rate as it changed between two parts of the past, more so the longer the future is.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

DRAWS = 200
BLOCK = 6  # intervals
PART_MIN = 6  # intervals: the shortest recent part that a draw uses
DRIFT_MAX = 4.0  # the largest factor by which a draw changes the rate


class Forecast(NamedTuple):
    """Seconds until the end: half of the draws end by `p50`, nine in ten by `p90`."""

    p50: float
    p90: float


def forecast(
    stages: Sequence[Sequence[float]], remaining: Sequence[int], seconds: float, seed: str
) -> Forecast | None:
    """The end of all stages: in each draw, the last one's. The same seed gives the same answer.

    `stages` has for each stage the items settled in each interval of `seconds`, oldest first;
    `remaining` its open items. None if a stage with open items has settled none.
    """
    open_stages = [
        (history, items) for history, items in zip(stages, remaining, strict=True) if items > 0
    ]
    if not all(sum(history) > 0 for history, _ in open_stages):
        return None
    chance = random.Random(seed)
    ends = sorted(
        max((_end(history, items, chance) for history, items in open_stages), default=0.0)
        for _ in range(DRAWS)
    )
    return Forecast(ends[DRAWS // 2] * seconds, ends[DRAWS * 9 // 10] * seconds)


def _end(history: Sequence[float], items: int, chance: random.Random) -> float:
    """In intervals. Beyond the length of the history, the rate that was drawn continues."""
    part = history[-chance.randint(min(PART_MIN, len(history)), len(history)) :]
    future = _drawn(part, len(history), chance)
    if not sum(future):
        return math.inf
    drift = _drift(history, items / sum(future), chance)
    reached = list(accumulate(settled * drift for settled in future))
    n = bisect_left(reached, items)
    if n == len(reached):
        return n * items / reached[-1]
    return n + 1 - (reached[n] - items) / (future[n] * drift)


def _drawn(part: Sequence[float], length: int, chance: random.Random) -> list[float]:
    """Blocks of consecutive intervals, from random places; the part is closed to a ring."""
    drawn: list[float] = []
    while len(drawn) < length:
        first = chance.randrange(len(part))
        drawn += [part[(first + n) % len(part)] for n in range(BLOCK)]
    return drawn[:length]


def _drift(history: Sequence[float], ahead: float, chance: random.Random) -> float:
    """How the rate differed between two random parts of the past.

    `ahead` is the length of the future in histories: a short one drifts less, a long one more.
    """
    half = max(1, len(history) // 2)
    length = chance.randint(min(PART_MIN, half), half)
    earlier, later = (
        sum(history[first : first + length])
        for first in (chance.randrange(len(history) - length + 1) for _ in range(2))
    )
    if earlier <= 0 or later <= 0:
        return 1.0
    exponent = math.sqrt(min(2.0, max(0.3, ahead)))
    return float(min(DRIFT_MAX, max(1 / DRIFT_MAX, (later / earlier) ** exponent)))

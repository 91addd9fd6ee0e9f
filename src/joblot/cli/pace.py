"""How many items a job settles per second, over the last seconds."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

from joblot.sentences import settled_of

RATE_SECONDS = 20.0  # over which the rate is measured


class Pace:
    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, job: dict[str, Any]) -> float | None:
        """Call it with each answer of `progress`; None at the beginning."""
        now = time.monotonic()
        self._seen.append((now, sum(map(settled_of, job["stages"]))))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        (began, before), (_, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - began) if now > began and done >= before else None


def duration(seconds: float) -> str:
    """Rounded to a minute below an hour, 5 minutes below 10 hours, else an hour."""
    if seconds < 60:
        return "a minute"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        minutes = 5 * math.ceil(minutes / 5)
        return f"{minutes // 60} h {minutes % 60} min".removesuffix(" 0 min")
    return f"{math.ceil(minutes / 60)} h"

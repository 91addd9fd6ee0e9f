"""Waits in a test until a condition is true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS_MAX = 60.0
# A look may cost as much as a request, so the pause grows with the time that was waited.
PAUSE_SECONDS = (0.005, 0.05)
PAUSE_PER_WAITED = 0.1


def eventually(look: Callable[[], T | None], *, seconds_max: float = SECONDS_MAX) -> T:
    """Poll `look` until its value is true, and return it; the test fails if it never is."""
    began = time.monotonic()
    shortest, longest = PAUSE_SECONDS
    while True:
        if seen := look():
            return seen
        waited = time.monotonic() - began
        if waited > seconds_max:
            raise AssertionError(f"still not true after {seconds_max} s: {seen!r}")
        time.sleep(min(max(shortest, waited * PAUSE_PER_WAITED), longest))

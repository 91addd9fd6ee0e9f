"""Waits in a test until a condition is true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS_MAX = 60.0
POLL_SECONDS = 0.01


def eventually(look: Callable[[], T | None], *, seconds_max: float = SECONDS_MAX) -> T:
    """Poll `look` until its value is true, and return it; the test fails if it never is."""
    deadline = time.monotonic() + seconds_max
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {seconds_max} s: {seen!r}")
        time.sleep(POLL_SECONDS)

"""Keeps a command that follows a job running during a short outage of its database or server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from joblot.cli.printable import say_aside
from joblot.errors import Unavailable

A = TypeVar("A")

AWAY_SECONDS_MAX = 60.0  # before the command gives up


class OutageRetry:
    """Repeats a call every `seconds` during an outage, and reports each outage once.

    The first call is not repeated, so a mistyped address is an error at once.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answered_at: float | None = None

    def __call__(self, call: Callable[[], A]) -> A:
        """The answer. Raises Unavailable after AWAY_SECONDS_MAX."""
        said = False
        while True:
            try:
                answer = call()
            except Unavailable as error:
                if self._answered_at is None or self._away() > AWAY_SECONDS_MAX:
                    raise
                if not said:
                    say_aside(f"not live, trying again: {error}")
                    said = True
                time.sleep(self._seconds)
            else:
                if said:
                    say_aside("live again")
                self._answered_at = time.monotonic()
                return answer

    def _away(self) -> float:
        assert self._answered_at is not None
        return time.monotonic() - self._answered_at

"""How long to wait before repeating a request."""

from __future__ import annotations

import random

from joblot.errors import JoblotError
from joblot.policy import doubled

BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 30.0
ASKED_SECONDS_MAX = 600.0  # cap on what a server may ask for


def backoff_seconds(tries: int, error: JoblotError | None = None) -> float:
    """Seconds to wait: they double with each try, and are at least what `error` asks for.

    Randomized, so that workers that were rejected together don't all return together.
    """
    longest = doubled(BACKOFF_SECONDS, tries, most=BACKOFF_SECONDS_MAX)
    asked = min(getattr(error, "retry_after_seconds", None) or 0.0, ASKED_SECONDS_MAX)
    return max(longest * random.uniform(0.5, 1.0), asked * random.uniform(1.0, 1.25))

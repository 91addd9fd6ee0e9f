"""Rate limiting of tokens, in each process separately."""

from __future__ import annotations

import threading
import time

from joblot.errors import TooManyRequests
from joblot.identity.caller import Caller

WINDOW_SECONDS = 60.0

_lock = threading.Lock()
# Threads: read and changed under the lock only.
_buckets: dict[int, tuple[float, float]] = {}  # by owner: requests left, as of when


def spend(caller: Caller) -> None:
    """Count one request. Raises TooManyRequests with the wait until the next is allowed.

    A token bucket that holds a minute's requests and fills evenly.
    """
    most = caller.requests_per_minute_max
    if most is None:
        return
    now, rate = time.monotonic(), most / WINDOW_SECONDS
    with _lock:
        left, since = _buckets.get(caller.owner, (float(most), now))
        left = min(float(most), left + (now - since) * rate)
        allowed = left >= 1.0
        _buckets[caller.owner] = (left - 1.0 if allowed else left, now)
    if not allowed:
        raise TooManyRequests(
            f"this token may make {most} requests a minute; wait as Retry-After says",
            (1.0 - left) / rate,
        )

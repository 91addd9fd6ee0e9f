"""Slow down those who guess passwords: few tries per name and minute, in each process separately.

All names together are limited too, since checking a password costs much of a processor's time.
"""

from __future__ import annotations

import threading
import time

from joblot.errors import TooManyRequests

TRIES_PER_NAME_MAX = 10  # in WINDOW_SECONDS
TRIES_MAX = 60  # of all names
WINDOW_SECONDS = 60.0

_lock = threading.Lock()
# Threads: read and changed under the lock only. The name and the time of each try that counts.
_tries: list[tuple[float, str]] = []


def spend(name: str) -> None:
    """Count one try. Raises TooManyRequests with the wait until the next is allowed."""
    now = time.monotonic()
    with _lock:
        _tries[:] = [one for one in _tries if one[0] > now - WINDOW_SECONDS]
        of_name = [at for at, who in _tries if who == name]
        if len(of_name) < TRIES_PER_NAME_MAX and len(_tries) < TRIES_MAX:
            _tries.append((now, name))
            return
        oldest = of_name[0] if len(of_name) >= TRIES_PER_NAME_MAX else _tries[0][0]
    wait = oldest + WINDOW_SECONDS - now
    raise TooManyRequests(f"Too many tries. Wait {wait:.0f} s, and try again.", wait)


def forgive(name: str) -> None:
    """The name's tries no longer count: its user has signed in."""
    with _lock:
        _tries[:] = [one for one in _tries if one[1] != name]

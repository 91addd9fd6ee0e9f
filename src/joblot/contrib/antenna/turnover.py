"""How many items of a job each worker did in the last minute, as counted by this process."""

from __future__ import annotations

import threading
import time
from collections import deque

from joblot.contrib.antenna.limits import antenna_limits

_REMEMBERED_MAX = 10_000

_lock = threading.Lock()
# Threads: read and changed under the lock only, the deques in it too.
_done: dict[tuple[str, int], deque[tuple[float, int]]] = {}  # by worker and job: when, how many


def add(worker: str, job: int, items: int) -> None:
    """This worker has just posted the results of `items` items."""
    with _lock:
        if len(_done) >= _REMEMBERED_MAX:
            _done.clear()
        _done.setdefault((worker, job), deque()).append((time.monotonic(), items))


def turnover(worker: str, job: int) -> int:
    """How many items in the last `ahead_seconds`."""
    begins = time.monotonic() - antenna_limits().ahead_seconds
    with _lock:
        done = _done.get((worker, job), deque())
        while done and done[0][0] < begins:
            done.popleft()
        return sum(items for _, items in done)

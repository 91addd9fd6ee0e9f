"""Room for adopters' code: how many threads of this process hooks and the storage may occupy.

A hook or a storage that hangs never returns its thread. A server therefore grants them fewer
threads than it has, which leaves some for everything else; without room, a call is refused with
Unavailable.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from joblot.errors import Unavailable

WAIT_SECONDS_MAX = 1.0  # for room, since the last call began: quick calls free some


class _Room:
    def __init__(self) -> None:
        self.threads_max: float = math.inf
        self._changed = threading.Condition()
        self._running = 0
        self._last_began = 0.0

    def enter(self) -> None:
        """Raises Unavailable when there is no room and none is likely soon."""
        with self._changed:
            while self._running >= self.threads_max:
                left = self._last_began + WAIT_SECONDS_MAX - time.monotonic()
                if left <= 0:
                    raise Unavailable(
                        f"{self._running} calls of hooks and of the storage are running in this "
                        f"process, and none has returned for {WAIT_SECONDS_MAX:g} s; try again "
                        "later"
                    )
                self._changed.wait(left)
            self._running += 1
            self._last_began = time.monotonic()

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify()


_room = _Room()


def limit_to(threads: float) -> None:
    """Limit hooks and the storage to this many threads. A server calls this once."""
    _room.threads_max = threads


@contextmanager
def room() -> Iterator[None]:
    """Count this thread inside the block. Raises Unavailable instead of waiting for long."""
    _room.enter()
    try:
        yield
    finally:
        _room.leave()

"""Claims that wait for work. A waiter takes a little memory and no thread.

One query of the database serves all waiters of this process. It wakes only as many as could be
served at once, the longest waiting first, so that a thousand idle workers don't all claim one item;
a waiter that finds nothing waits again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from joblot.errors import JoblotError
from joblot.ledger.claim.candidates import Wanted

logger = logging.getLogger("joblot.server")

POLL_SECONDS = 0.02  # between two quick queries
POLL_SECONDS_MAX = 0.5  # a slow query may have waited for other threads, not for the database
POLL_QUICK_SECONDS = 0.005  # a query that takes no longer does not delay the next
POLL_SHARE_MAX = 0.1  # of the time, spent in slower queries; by the quicker of the last two
AWAKE_MAX = 16  # woken by one query, of those that wait for the same

Ready = Callable[[Collection[Wanted]], Awaitable[set[Wanted]]]


class _Waiter:
    """One waiting claim."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.woken = asyncio.get_running_loop().create_future()


class WaitingRoom:
    """All waiting claims of this process. `ready` returns those for which there is work now."""

    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self._waiters: dict[_Waiter, None] = {}  # in order of arrival
        self._polling: asyncio.Task[None] | None = None
        self._took = float("inf")  # by the last query, in seconds

    def __len__(self) -> int:
        return len(self._waiters)

    async def wait(self, wanted: Wanted, seconds: float) -> bool:
        """True when there may be work of this kind; False if there was none in time."""
        waiter = _Waiter(wanted)
        self._waiters[waiter] = None
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            await asyncio.wait_for(waiter.woken, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.pop(waiter, None)
        return True

    def close(self) -> None:
        """Release all waiters; their claims are answered with no lease."""
        for waiter in list(self._waiters):
            if not waiter.woken.done():
                waiter.woken.set_result(None)

    async def _poll(self) -> None:
        """Query while there are waiters."""
        while self._waiters:
            began = time.monotonic()
            try:
                self._wake(await self._ready({waiter.wanted for waiter in self._waiters}))
            except JoblotError as error:
                logger.warning("can't see whether there is work: %s", error)
                began = float("-inf")
            except Exception:
                logger.exception("can't see whether there is work")
                began = float("-inf")
            took = time.monotonic() - began
            pause, self._took = _pause(min(took, self._took)), took
            await asyncio.sleep(pause)

    def _wake(self, ready: set[Wanted]) -> None:
        left = dict.fromkeys(ready, AWAKE_MAX)
        for waiter in list(self._waiters):
            if left.get(waiter.wanted) and not waiter.woken.done():
                left[waiter.wanted] -= 1
                waiter.woken.set_result(None)


def _pause(query_seconds: float) -> float:
    if query_seconds <= POLL_QUICK_SECONDS:
        return POLL_SECONDS
    return min(query_seconds / POLL_SHARE_MAX, POLL_SECONDS_MAX)

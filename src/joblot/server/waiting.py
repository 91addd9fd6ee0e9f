"""Claims that wait for work. A waiter takes a little memory and no thread.

One query of the database serves all waiters of this process. It wakes only as many as could be
served at once, the longest waiting first, so that a thousand idle workers don't all claim one item;
a waiter that finds nothing waits again. While a dispatch back-end notifies of work, the query is
made when it does, when a range becomes due, and every `waiting_poll_seconds`, which is the most
that a lost notification costs; otherwise all the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from joblot.config import limits
from joblot.dispatch.base import Backend
from joblot.dispatch.polling import Polling
from joblot.errors import JoblotError
from joblot.ledger.claim.candidates import Wanted

logger = logging.getLogger("joblot.server")

POLL_SECONDS = 0.02  # between two quick queries
POLL_SECONDS_MAX = 0.5  # a slow query may have waited for other threads, not for the database
POLL_QUICK_SECONDS = 0.005  # a query that takes no longer does not delay the next
POLL_SHARE_MAX = 0.1  # of the time, spent in slower queries; by the quicker of the last two
AWAKE_MAX = 16  # woken by one query, of those that wait for the same

# In how many seconds there is work for them: 0 if there is now; those without any are left out.
Ready = Callable[[Collection[Wanted]], Awaitable[Mapping[Wanted, float]]]


class _Waiter:
    """One waiting claim."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.woken = asyncio.get_running_loop().create_future()


class WaitingRoom:
    """All waiting claims of this process. `ready` asks when there is work for them."""

    def __init__(self, ready: Ready, backend: Backend | None = None) -> None:
        self._ready = ready
        self._backend = backend or Polling()
        self._asked = asyncio.Event()  # to query soon
        self._is_asleep = False
        self._is_closed = False
        self._waiters: dict[_Waiter, None] = {}  # in order of arrival
        self._polling: asyncio.Task[None] | None = None
        self._took = float("inf")  # by the last query, in seconds

    def __len__(self) -> int:
        return len(self._waiters)

    async def wait(self, wanted: Wanted, seconds: float) -> bool:
        """True when there may be work of this kind; False if there was none in time, or never
        will be: a wait that begins after `close` ends at once.
        """
        if self._is_closed:
            return False
        waiter = _Waiter(wanted)
        self._waiters[waiter] = None
        self.notify()  # a notification may have come between its claim and now
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            await asyncio.wait_for(waiter.woken, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.pop(waiter, None)
        return True

    @property
    def is_asleep(self) -> bool:
        """No query is in progress or due: a notification, or time, ends that."""
        return self._is_asleep and not self._asked.is_set()

    def notify(self) -> None:
        """There may be work: query soon."""
        self._asked.set()

    def close(self) -> None:
        """Release all waiters, and those that come; their claims are answered with no lease."""
        self._is_closed = True
        for waiter in list(self._waiters):
            if not waiter.woken.done():
                waiter.woken.set_result(None)
        self.notify()

    async def _poll(self) -> None:
        """Query while there are waiters."""
        was_notified = True
        while self._waiters:
            self._asked.clear()
            began, due_seconds = time.monotonic(), 0.0
            try:
                found = await self._ready({waiter.wanted for waiter in self._waiters})
            except JoblotError as error:
                logger.warning("can't see whether there is work: %s", error)
                began = float("-inf")
            except Exception:
                logger.exception("can't see whether there is work")
                began = float("-inf")
            else:
                due_seconds = self._wake(found)
                if not due_seconds and not was_notified:
                    self._backend.verify()
            took = time.monotonic() - began
            pause, self._took = _pause(min(took, self._took)), took
            await asyncio.sleep(pause)
            was_notified = await self._until_asked(due_seconds - pause)

    async def _until_asked(self, due_seconds: float) -> bool:
        """Wait for a notification, if there will be one; False if the query is made without."""
        if not self._backend.is_up or due_seconds <= 0 or self._asked.is_set():
            return True
        longest = limits().waiting_poll_seconds
        self._is_asleep = True
        try:
            await asyncio.wait_for(self._asked.wait(), min(due_seconds, longest))
        except TimeoutError:
            return due_seconds < longest
        finally:
            self._is_asleep = False
        return True

    def _wake(self, found: Mapping[Wanted, float]) -> float:
        """Wake those for which there is work; returns in how many seconds there is for others."""
        left = {wanted: AWAKE_MAX for wanted, seconds in found.items() if not seconds}
        for waiter in list(self._waiters):
            if left.get(waiter.wanted) and not waiter.woken.done():
                left[waiter.wanted] -= 1
                waiter.woken.set_result(None)
        return min(found.values(), default=float("inf"))


def _pause(query_seconds: float) -> float:
    if query_seconds <= POLL_QUICK_SECONDS:
        return POLL_SECONDS
    return min(query_seconds / POLL_SHARE_MAX, POLL_SECONDS_MAX)

"""Claims that wait for work: a waiter costs a little memory, and no thread.

One look at the database serves all waiters of this process. It wakes only as many as could be
served at once, the longest waiting first, so that a thousand idle workers don't all ask for one
item; who comes too late waits on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from joblot.errors import JoblotError
from joblot.ledger.claim.candidates import Wanted

logger = logging.getLogger("joblot.server")

LOOK_SECONDS = 0.02  # between two looks
LOOK_SECONDS_MAX = 0.5  # a look that took long may have waited for others, not for the database
LOOK_QUICK_SECONDS = 0.005  # a look that takes no longer puts off no other
LOOK_SHARE_MAX = 0.1  # of the time that longer looks may take, by the quicker of the last two
AWAKE_MAX = 16  # of those who wait for the same, at a look

Ready = Callable[[Collection[Wanted]], Awaitable[set[Wanted]]]


class _Waiter:
    """One claim that waits."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.woken = asyncio.get_running_loop().create_future()


class WaitingRoom:
    """All claims of this process that wait. `ready` says for whom there is work now."""

    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self._waiters: dict[_Waiter, None] = {}  # in the order in which they came
        self._looking: asyncio.Task[None] | None = None
        self._took = float("inf")  # the last look, in seconds

    def __len__(self) -> int:
        return len(self._waiters)

    async def wait(self, wanted: Wanted, seconds: float) -> bool:
        """True when there may be work of this kind; False if there was none in time."""
        waiter = _Waiter(wanted)
        self._waiters[waiter] = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        try:
            await asyncio.wait_for(waiter.woken, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.pop(waiter, None)
        return True

    def close(self) -> None:
        """Let all go, to be told that there is nothing."""
        for waiter in list(self._waiters):
            if not waiter.woken.done():
                waiter.woken.set_result(None)

    async def _look_on(self) -> None:
        """Look as long as somebody waits."""
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


def _pause(look_seconds: float) -> float:
    if look_seconds <= LOOK_QUICK_SECONDS:
        return LOOK_SECONDS
    return min(look_seconds / LOOK_SHARE_MAX, LOOK_SECONDS_MAX)

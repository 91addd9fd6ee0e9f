"""Notifications of new work that this process sends for all its threads: few, and promptly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from joblot.ledger.rows import wake
from joblot.server.bridge import Bridge

PAUSE_SECONDS = 0.01  # between two; what becomes claimable meanwhile is announced by the next


class Announcer:
    """Sends the first at once and then at most one per pause, in one of the bridge's threads."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._is_due = False
        self._has_ended = False
        self._sending: asyncio.Task[None] | None = None

    def begin(self) -> Callable[[], None]:
        """What any thread calls when something has become claimable."""
        loop = asyncio.get_running_loop()

        def announce() -> None:
            loop.call_soon_threadsafe(self._announce)

        return announce

    async def stop(self) -> None:
        """Send what is due, and nothing more from now on."""
        await asyncio.sleep(0)  # for what threads have called before
        self._has_ended = True
        if self._sending is not None:
            await asyncio.wait({self._sending})

    def _announce(self) -> None:
        if self._has_ended:
            return
        self._is_due = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._is_due:
            self._is_due = False
            await self._bridge.call(wake.send)
            await asyncio.sleep(PAUSE_SECONDS)

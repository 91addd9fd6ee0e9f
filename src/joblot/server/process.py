"""What one server process is made of, and how it stops."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection

from joblot.ledger.ready import ready_pipelines
from joblot.ledger.sweep import sweep_until
from joblot.server.asgi import THREADS
from joblot.server.bridge import Bridge, Receive, Scope, Send
from joblot.server.outer import Outer
from joblot.server.waiting import WaitingRoom

THREADS_DEFAULT = 16


class Process:
    """The ASGI application, the threads behind it, and the sweep."""

    def __init__(self) -> None:
        self._bridge = Bridge(int(os.environ.get(THREADS, THREADS_DEFAULT)))
        self._outer = Outer(self._bridge, WaitingRoom(self._ready))
        self._sweep_ends = threading.Event()
        self._sweep = threading.Thread(
            target=sweep_until, args=(self._sweep_ends,), name="joblot-sweep", daemon=True
        )

    def stop(self) -> None:
        """Begin to stop: what waits is answered, what is being done is done to its end."""
        self._sweep_ends.set()
        self._outer.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._outer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._sweep.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.stop()
        await asyncio.to_thread(self._end)
        await send({"type": "lifespan.shutdown.complete"})

    def _end(self) -> None:
        self._bridge.close()
        self._sweep.join()

    async def _ready(self, pipelines: Collection[str]) -> set[str]:
        return await self._bridge.call(ready_pipelines, pipelines)

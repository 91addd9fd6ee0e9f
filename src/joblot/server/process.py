"""The parts of one server process, and how it stops."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Collection, Mapping
from types import FrameType

from joblot.api import counters
from joblot.api.live import Message
from joblot.delivery.supervisor import supervise_until
from joblot.dispatch import database
from joblot.ledger.claim.availability import ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.maintain.sweep import sweep_until
from joblot.ledger.room import limit_to
from joblot.ledger.rows import wake
from joblot.server.announcer import Announcer
from joblot.server.bridge import Bridge, Scope, Send
from joblot.server.gateway import Gateway
from joblot.server.incoming_body import Receive
from joblot.server.live import LiveJobs
from joblot.server.waiting import WaitingRoom
from joblot.webhooks.sender import send_until

HOOK_THREADS_SHARE = 0.75  # of the threads, for hooks; the others serve the rest


class Process:
    """The ASGI application, the threads behind it, the sweep, the supervisor of event handlers, and
    the sender of webhooks.
    """

    def __init__(self, threads: int) -> None:
        counters.watch()
        self._bridge = Bridge(threads)
        self._hook_threads_max = max(1.0, threads * HOOK_THREADS_SHARE)
        self.dispatch = database.backend()
        self.room = WaitingRoom(self._ready, self.dispatch)
        self._announcer = Announcer(self._bridge)
        self.live = LiveJobs(self._read_live)
        self._gateway = Gateway(self._bridge, self.room, self.live)
        self._ends = threading.Event()
        self._clocks = [
            threading.Thread(target=clock, args=(self._ends,), name=name, daemon=True)
            for name, clock in (
                ("joblot-sweep", sweep_until),
                ("joblot-delivery", supervise_until),
                ("joblot-webhooks", send_until),
            )
        ]

    def stop(self) -> None:
        """Begin to stop: waiting requests are answered, work in progress is completed."""
        self._ends.set()
        self._gateway.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._gateway(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._stop_on_signals(asyncio.get_running_loop())
        _end_with_parent()
        limit_to(self._hook_threads_max)
        listening = asyncio.create_task(self.dispatch.run(self.room.notify))
        with wake.delivered_by(self._announcer.begin()):
            for clock in self._clocks:
                clock.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stop()
            await self.live.stop()
        listening.cancel()
        await asyncio.wait({listening})
        await self._announcer.stop()
        await asyncio.to_thread(self._end)
        await send({"type": "lifespan.shutdown.complete"})

    def _stop_on_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop at the signal: the ASGI server ends the lifespan only after all requests, including
        those that wait for work.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            theirs = signal.getsignal(number)
            if callable(theirs):

                def stop(number: int, frame: FrameType | None, theirs: object = theirs) -> None:
                    loop.call_soon_threadsafe(self.stop)
                    theirs(number, frame)  # type: ignore[operator]

                signal.signal(number, stop)

    def _end(self) -> None:
        self._bridge.close()
        for clock in self._clocks:
            clock.join()
        limit_to(math.inf)

    async def _ready(self, asked: Collection[Wanted]) -> Mapping[Wanted, float]:
        return await self._bridge.call(ready_for, asked)

    async def _read_live(self, job_id: int) -> Message:
        return await self._bridge.call(Message.read, job_id)


def _end_with_parent() -> None:
    """One of several processes stops when the first of them has died, for whatever reason."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        assert parent is not None
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=wait, name="joblot-parent", daemon=True).start()

"""`joblot dispatch` in a thread of this process, on the test's database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from joblot.dispatch.jetstream import JetStream
from joblot.dispatch.publisher import DispatcherSettings
from joblot.server.bridge import Bridge
from joblot.server.dispatching import run
from joblot.worker.nats_address import NatsAddress
from tests.polling import eventually

STOP_SECONDS_MAX = 30
THREADS = 4


class Dispatching:
    """A dispatcher that runs inside the block."""

    def __init__(
        self,
        address: NatsAddress,
        *pipelines: str,
        name: str = "d",
        bridge: Callable[[], Bridge] = lambda: Bridge(THREADS),
        **settings: Any,
    ) -> None:
        self._address = address
        self._bridge = bridge
        self._pipelines = pipelines
        self._settings = DispatcherSettings(name, **settings)
        self._thread = threading.Thread(target=self._run, name="dispatching", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: asyncio.Event | None = None
        self.stream: JetStream | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._ends is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(STOP_SECONDS_MAX)
        assert not self._thread.is_alive(), "the dispatcher does not stop"
        if self._error is not None and error is None:
            raise self._error

    def until_up(self) -> Self:
        eventually(lambda: self.stream is not None and self.stream.broker.is_up)
        return self

    def outstanding(self) -> int:
        """Grants that no worker has taken yet, as the dispatcher knows."""
        return sum(map(len, self.stream.publishers)) if self.stream else 0

    def _run(self) -> None:
        try:
            asyncio.run(self._dispatch())
        except BaseException as error:  # noqa: BLE001 (raised again at the end)
            self._error = error

    async def _dispatch(self) -> None:
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        bridge = self._bridge()
        try:
            await run(
                bridge,
                self._address,
                self._pipelines,
                self._settings,
                self._ends,
                on_stream=self._began,
            )
        finally:
            await asyncio.to_thread(bridge.close)

    def _began(self, stream: JetStream) -> None:
        self.stream = stream

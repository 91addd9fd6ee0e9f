"""A load balancer in front of several servers: a TCP proxy on loopback, in a thread.

Each connection goes to the next server that accepts one, as a balancer without health checks does.
A connection whose server dies ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")

SECONDS_MAX = 60.0
PIECE_BYTES = 65_536


class Balancer:
    """Balances over the ports that `ports` returns, inside the block."""

    def __init__(self, ports: Callable[[], Sequence[int]]) -> None:
        self._ports = ports
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer")
        self._open: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._await(asyncio.start_server(self._serve, "127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS_MAX)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS_MAX)

    async def _end(self) -> None:
        self._server.close()
        for one in list(self._open):
            one.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                if server := await self._connect():
                    to_server = asyncio.create_task(_copy(reader, server[1]))
                    await _copy(server[0], writer)
                    to_server.cancel()
        finally:
            self._open.discard(task)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The next server that accepts; None if there is none."""
        for _ in range(len(ports := self._ports())):
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", ports[self._turn % len(ports)])
        return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until either side ends; the other one then ends too."""
    try:
        with suppress(OSError):
            while piece := await source.read(PIECE_BYTES):
                target.write(piece)
                await target.drain()
    finally:
        target.close()

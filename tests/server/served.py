"""The real application under uvicorn, in a thread of this process, on a loopback socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType
from typing import Self

import httpx
import uvicorn

from joblot.server.process import Process
from tests.server.raw import AUTHORIZED

STOP_SECONDS_MAX = 20
SEND_BYTES = 65_536  # what the kernel buffers of an answer that is not read
RECEIVE_BYTES = 65_536  # what it buffers for a client that does not read


class Served:
    """A server that runs inside the block. `url` is its address."""

    def __init__(self, threads: int = 4) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self.sockets = [self._socket]  # more may be added before the block
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process(threads)
        config = uvicorn.Config(
            self.process,
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
            timeout_keep_alive=60,
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="served", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._server.server_state.connections)

    def begin_stop(self) -> None:
        """Do what SIGTERM does to a server process."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.process.stop)
        self._server.should_exit = True

    def stop(self) -> None:
        self.begin_stop()
        self._thread.join(STOP_SECONDS_MAX)
        assert not self._thread.is_alive(), "the server does not stop"

    def client(self, seconds_max: float = 60.0, **headers: str) -> httpx.Client:
        """A client of the API with small buffers; the caller closes it."""
        transport = httpx.HTTPTransport(
            verify=False,  # no TLS is used, and loading certificates is slow
            trust_env=False,
            socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)],
        )
        return httpx.Client(
            base_url=f"{self.url}/api/v1/",
            headers={**AUTHORIZED, **headers},
            timeout=seconds_max,
            transport=transport,
            trust_env=False,
        )

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=self.sockets)

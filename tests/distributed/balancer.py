"""A proxy in front of several servers: each connection goes to the next one that accepts it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE_BYTES = 65_536
CONNECT_SECONDS_MAX = 2.0


class Balancer:
    """Listens inside the block, at `host`; `ports` says where the servers are now."""

    def __init__(self, ports: Callable[[], Sequence[int]], host: str = "127.0.0.1") -> None:
        self._ports = ports
        self._turn = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((host, 0), backlog=128)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="balancer", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._reach()
            if server is None:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                self._open.add(source)
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _reach(self) -> socket.socket | None:
        ports = self._ports()
        for n in range(len(ports)):
            self._turn += 1
            address = ("127.0.0.1", ports[(self._turn + n) % len(ports)])
            with suppress(OSError):
                return socket.create_connection(address, timeout=CONNECT_SECONDS_MAX)
        return None

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            source.settimeout(None)
            while piece := source.recv(PIECE_BYTES):
                target.sendall(piece)
        for one in (source, target):
            _end(one)
        self._open.discard(source)
        source.close()


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)

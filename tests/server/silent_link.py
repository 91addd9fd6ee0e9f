"""A link to PostgreSQL that goes silent: it accepts what is sent, and returns nothing more.

No packet is lost and no connection ends, so TCP detects no fault.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS_MAX = 30.0
PIECE_BYTES = 65_536


class SilentLink:
    """Forwards from `port` to the server's Unix socket, inside the block."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._marker: bytes | None = None
        self._marked_arrives = False
        self._swallows_new = False
        self._silent = False
        self._dead: set[socket.socket] = set()  # the client sides of silent connections
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.went_silent = threading.Event()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(SECONDS_MAX)
            assert not thread.is_alive(), "a connection of the link does not end"
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def swallow(self, marker: bytes, *, arrives: bool, new_ones: bool = False) -> None:
        """Go silent when a client sends `marker`, which may still arrive.

        With `new_ones`, later connections are silent too.
        """
        with self._lock:
            self._marker, self._marked_arrives, self._swallows_new = marker, arrives, new_ones

    def mend(self) -> None:
        """Serve new connections from now on. Silent ones stay silent."""
        with self._lock:
            self._silent, self._marker = False, None

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _start(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                with self._lock:
                    self._open |= {client, server}
                self._start(self._hand_on, client, client, server)
                self._start(self._hand_on, client, server, client)

    def _hand_on(self, client: socket.socket, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), source:
            while piece := source.recv(PIECE_BYTES):
                if self._passes(client, piece, to_server=source is client):
                    sink.sendall(piece)
            if client not in self._dead:
                sink.shutdown(socket.SHUT_RDWR)

    def _passes(self, client: socket.socket, piece: bytes, *, to_server: bool) -> bool:
        with self._lock:
            marked = bool(to_server and self._marker and self._marker in piece)
            if marked:
                self._silent, self._marker = self._swallows_new, None
                self._dead |= self._open
                self.went_silent.set()
            elif self._silent:
                self._dead.add(client)
            return client not in self._dead or (marked and self._marked_arrives)

"""Ending a request that waits at the server, from another thread or a signal handler.

A thread that waits for an answer can't be woken, but the socket from which it reads can be shut
down: then its request fails, and the server notices that the client has disconnected.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

OPENED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


class Interruption:
    """Ends requests of a client that makes one at a time and passes `extensions` with each."""

    def __init__(self) -> None:
        self.is_wanted = False  # True once `interrupt` has been called
        self._stream: Any = None  # of the connection that was opened last

    @property
    def extensions(self) -> dict[str, Any]:
        """The extensions for httpx."""
        return {"trace": self._trace}

    def interrupt(self) -> None:
        """End the request in progress; each later one ends as soon as it has connected."""
        self.is_wanted = True
        self._shut_down()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(OPENED):
            self._stream = info.get("return_value")
            if self.is_wanted:
                self._shut_down()

    def _shut_down(self) -> None:
        stream = self._stream
        opened = None if stream is None else stream.get_extra_info("socket")
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

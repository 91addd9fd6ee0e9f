"""Ports reserved for a test while nothing listens on them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[int]:
    """A port that refuses connections, until a server binds it with address reuse.

    It is bound here without listening. Otherwise a port that was just free could be assigned to a
    connection of another test.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield int(keeper.getsockname()[1])

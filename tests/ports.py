"""Ports that are a test's own while nobody listens at them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[int]:
    """A port that refuses connections, until a server binds it that allows the address's reuse.

    It is bound here without listening. A port that was only free a moment ago is given to any
    connection that another test makes.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield int(keeper.getsockname()[1])

"""PostgreSQL's notifications for one thread that waits: an idle worker beside the ledger.

`joblot.dispatch.database` does the same in an event loop, for all waiters of a server. Here the
waiting thread itself sleeps until the connection, or an interruption, has something to read.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.dispatch.database import ECHO_SECONDS_MAX, can_listen
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows import wake

logger = logging.getLogger("joblot.dispatch")

RETRY_SECONDS = 60.0  # after notifications have failed


def has_notifications() -> bool:
    """Whether the ledger's database delivers any, as far as is known."""
    return can_listen(connection())


class Listener:
    """One thread waits; `interrupt` may be called from any thread, and from signal handlers.

    Between `interrupt` and `close` nothing waits: either the wait sees the mark, or the
    interruption sees the sockets and wakes it.
    """

    def __init__(self) -> None:
        self._sockets: tuple[socket.socket, socket.socket] | None = None  # while it may wait
        self._is_interrupted = False
        self._wrapper: BaseDatabaseWrapper | None = None  # while it listens
        self._owner: int | None = None  # the thread that waits
        self._retry_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether it listens, and notifications are known to arrive."""
        return self._wrapper is not None

    def wait(self, seconds: float) -> bool | None:
        """True when there may be work, which is also so when it begins to listen; False in time.

        None if the wait was interrupted, or if notifications can't be received: then poll.
        """
        if self._begins() is None:
            return None
        if self._wrapper is None:
            return self._listen() or None
        try:
            return self._received_within(seconds, echo="")
        except (Error, OSError) as error:
            self._failed(error)
            return True  # a notification may have been lost

    def pause(self, seconds: float) -> bool:
        """Wait without listening; False if that was interrupted."""
        interruption = self._begins()
        return interruption is not None and not _readable([interruption], seconds)

    def interrupt(self) -> None:
        """End the wait, and refuse others until it is closed."""
        self._is_interrupted = True
        sockets = self._sockets
        if sockets is not None:
            with contextlib.suppress(OSError):
                sockets[1].send(b"1")

    def close(self) -> None:
        """Close the connection, if the calling thread is the one that waits."""
        if self._owner != threading.get_ident():
            return
        self._close()
        sockets, self._sockets = self._sockets, None
        for one in sockets or ():
            one.close()
        self._owner, self._is_interrupted = None, False

    def _begins(self) -> socket.socket | None:
        """What is readable once the wait is interrupted; None if it is already."""
        self._owner = threading.get_ident()
        if self._sockets is None:
            self._sockets = socket.socketpair()
            self._sockets[1].setblocking(False)
        return None if self._is_interrupted else self._sockets[0]

    def _listen(self) -> bool:
        """Whether it listens now. Notifications before that were lost."""
        if time.monotonic() < self._retry_at or not can_listen(connection()):
            return False
        self._wrapper = connection().copy()
        echo = uuid4().hex
        try:
            with self._wrapper.cursor() as cursor:
                cursor.execute(f"LISTEN {wake.CHANNEL}")
            wake.send(echo)  # through this thread's own connection
            found = self._received_within(ECHO_SECONDS_MAX, echo)
        except (Error, OSError) as error:
            self._failed(error)
            return False
        if not found:
            if found is False:
                self._failed(TimeoutError("LISTEN delivers no notifications, as behind a pooler"))
            return False
        return True

    def _received_within(self, seconds: float, echo: str) -> bool | None:
        """True once a notification of this payload has come, False if none did in time.

        None if the wait was interrupted. Raises Error if the connection is lost.
        """
        assert self._wrapper is not None
        assert self._sockets is not None
        link: Any = self._wrapper.connection
        interruption = self._sockets[0]
        ends = time.monotonic() + seconds
        while True:
            left = max(0.0, ends - time.monotonic())
            readable = _readable([link, interruption], left)
            if interruption in readable:
                return None
            if not readable:
                return False
            with self._wrapper.wrap_database_errors:
                link.pgconn.consume_input()
            payloads = set()
            while (found := link.pgconn.notifies()) is not None:
                payloads.add(found.extra.decode())
            if echo in payloads:
                return True

    def _failed(self, error: Exception) -> None:
        logger.warning("new work is polled for, since notifications fail: %s", error)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._close()

    def _close(self) -> None:
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None:
            wrapper.close()


def _readable(sources: Sequence[Any], seconds: float) -> list[Any]:
    """Wait until some are readable or closed; returns these, or none after `seconds`.

    Unlike `select.select`, this accepts descriptors above 1,023.
    """
    with selectors.DefaultSelector() as selector:
        for one in sources:
            selector.register(one, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(seconds)]

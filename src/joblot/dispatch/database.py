"""The reference back-end: PostgreSQL's LISTEN and NOTIFY wake those who wait.

One connection of a process listens, in an event loop: while nothing happens, no query is made and
nothing runs. It counts as up only after a notification that this process has sent through another
connection, the echo, has come back. A pooler may accept LISTEN and deliver nothing, and an
intermediary may drop everything without closing the connection; in either case waiters poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.dispatch.base import Backend, Capabilities, OnWork
from joblot.dispatch.polling import Polling
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows import wake

logger = logging.getLogger("joblot.dispatch")

ECHO_SECONDS_MAX = 5.0  # for the echo to come back
RETRY_SECONDS = 1.0  # after the connection was lost; doubles
RETRY_SECONDS_MAX = 60.0


def backend() -> Backend:
    """The best back-end that the ledger's database allows."""
    return Database() if can_listen(connection()) else Polling()


def can_listen(conn: BaseDatabaseWrapper) -> bool:
    """False for SQLite, and for a pooler that gives each transaction another session.

    Such a pooler is known by Django's setting for it, which `pgbouncer=true` in a URL implies.
    """
    pooled = bool(conn.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))
    return dialect_of(conn).has_notifications and not pooled


class Database:
    """Listens, and reconnects for as long as it runs."""

    name = "database"
    capabilities = Capabilities(notifies=True, publishes_leases=False)

    def __init__(self) -> None:
        self._wrapper = connection().copy()  # used by one thread at a time
        self._wrapper.inc_thread_sharing()
        self._changed = asyncio.Event()  # set when one of the next four changes
        self._echo = ""  # the payload that must come back
        self._is_echoed = False
        self._is_unverified = False
        self._lost: Error | None = None
        self._failures = 0

    @property
    def is_up(self) -> bool:
        return self._is_echoed

    def verify(self) -> None:
        self._is_unverified = True
        self._changed.set()

    async def run(self, on_work: OnWork) -> None:
        while True:
            try:
                await self._listen(on_work)
            except (Error, OSError) as error:
                self._failed(error)
            finally:
                self._is_echoed = False
                await asyncio.shield(asyncio.to_thread(self._wrapper.close))
            on_work()  # notifications were lost meanwhile
            pause = RETRY_SECONDS * 2 ** min(self._failures - 1, 10)
            await asyncio.sleep(min(pause, RETRY_SECONDS_MAX))

    async def _listen(self, on_work: OnWork) -> None:
        """Until the connection is lost, or does not deliver. Raises Error, OSError."""
        link = await asyncio.to_thread(self._open)
        loop, descriptor = asyncio.get_running_loop(), link.fileno()
        self._lost = None
        loop.add_reader(descriptor, self._read, link, on_work)
        try:
            while True:
                await self._await_echo()
                self._failures = 0
                on_work()
                await self._wait_until(lambda: self._is_unverified)
        finally:
            loop.remove_reader(descriptor)

    async def _await_echo(self) -> None:
        """Wait until the echo has come back. Raises Error, TimeoutError if it does not."""
        self._is_unverified = self._is_echoed = False
        self._echo = uuid4().hex
        await asyncio.to_thread(_send, self._echo)
        try:
            async with asyncio.timeout(ECHO_SECONDS_MAX):
                await self._wait_until(lambda: self._is_echoed)
        except TimeoutError:
            raise TimeoutError("LISTEN delivers no notifications, as behind a pooler") from None

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        """Raises the error with which the connection was lost."""
        while not holds():
            if self._lost is not None:
                raise self._lost
            self._changed.clear()
            await self._changed.wait()

    def _open(self) -> Any:
        """The driver's connection, which listens."""
        with self._wrapper.cursor() as cursor:
            cursor.execute(f"LISTEN {wake.CHANNEL}")
        return self._wrapper.connection

    def _read(self, link: Any, on_work: OnWork) -> None:
        """The connection has something to read, or was closed."""
        is_work = False
        try:
            with self._wrapper.wrap_database_errors:
                link.pgconn.consume_input()
            while (found := link.pgconn.notifies()) is not None:
                self._is_echoed = self._is_echoed or found.extra.decode() == self._echo
                is_work = is_work or not found.extra
        except Error as error:
            self._lost = error
        self._changed.set()
        if is_work:
            on_work()

    def _failed(self, error: Exception) -> None:
        if not self._failures:  # once per outage
            logger.warning("new work is polled for, since notifications fail: %s", error)
        self._failures += 1


def _send(payload: str) -> None:
    """Notify through another connection than the one that listens."""
    with contextlib.closing(connection()):
        wake.send(payload)

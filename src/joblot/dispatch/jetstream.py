"""Leases carried to workers by NATS JetStream. The ledger stays the only truth.

A dispatcher claims in the ledger and sends the grants; a worker pulls one, and takes the lease in
the ledger, which gives it to the first. From then on it renews and reports as any other. So what
the broker loses, repeats, delays or forgets decides nothing: a grant that can't arrive is given
back and sent anew, and one that arrives late is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg

from joblot import grants
from joblot.dispatch.base import Capabilities, OnWork
from joblot.dispatch.broker import Broker, OnConnected
from joblot.dispatch.feed import Call, Feed, FeedSettings
from joblot.errors import JoblotError
from joblot.ledger.claim.take import all_offered, withdraw
from joblot.ledger.read.dispatchers import DOWN_SINCE, ERROR
from joblot.ledger.rows import workers
from joblot.ledger.rows.names import checked_name
from joblot.models import NO_OWNER

logger = logging.getLogger("joblot.dispatch")

ERROR_CHARS_MAX = 200
TELL_SECONDS = 2.0  # between two notes in the ledger of how the broker is


class JetStream:
    """A dispatcher for `pipelines`."""

    name = "jetstream"
    capabilities = Capabilities(announces=False, carries_leases=True)

    def __init__(
        self,
        url: str,
        pipelines: Sequence[str],
        call: Call,
        settings: FeedSettings,
        on_connected: OnConnected | None = None,
    ) -> None:
        checked_name(settings.name, "name")
        self._call = call
        self._settings = settings
        self._pipelines = tuple(checked_name(one, "pipeline") for one in pipelines)
        self._also = on_connected
        self.broker = Broker(url, self._pipelines, self._connected)
        self.feeds = [Feed(one, self.broker, call, settings) for one in self._pipelines]

    @property
    def is_heard(self) -> bool:
        return self.broker.is_up

    def doubt(self) -> None:
        """The broker is looked at all the time."""

    def look(self) -> None:
        """There may be work in the ledger."""
        for feed in self.feeds:
            feed.look()

    async def run(self, on_work: OnWork) -> None:
        """Send grants until cancelled. Tells nobody of work: workers pull it."""
        await self._begin()
        parts = [self.broker.run(), self._tell(), *(feed.run() for feed in self.feeds)]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in reversed(tasks):  # the feeds give back while the broker is there
                task.cancel()
            await asyncio.wait(tasks)

    async def _begin(self) -> None:
        """Give back what an earlier process of this name had sent."""
        while True:
            try:
                for token in await self._call(all_offered, self._settings.name):
                    await self._call(withdraw, token, self._settings.name)
            except JoblotError as error:
                logger.warning("waiting for the ledger: %s", error)
                await asyncio.sleep(TELL_SECONDS)
            else:
                return

    async def _connected(self, client: Client) -> None:
        await client.subscribe(grants.TAKEN, cb=self._taken)
        if self._also is not None:
            await self._also(client)

    async def _taken(self, message: Msg) -> None:
        try:
            token = UUID(message.data.decode())
        except ValueError:
            return
        for feed in self.feeds:
            feed.taken(token)

    async def _tell(self) -> None:
        """Note in the ledger that this dispatcher is there, and whether its broker is."""
        name, names, since = self._settings.name, self._pipelines, ""
        while True:
            about: dict[str, Any] = {"dispatcher": self.name}
            if self.broker.is_up:
                since = ""
            else:
                since = since or datetime.now(UTC).isoformat(timespec="seconds")
                about |= {DOWN_SINCE: since, ERROR: self.broker.error[:ERROR_CHARS_MAX]}
            try:
                await self._call(workers.seen, NO_OWNER, name, about)
                await self._call(workers.asked, None, name, names, workers.ANY_JOB)
            except JoblotError as error:
                logger.info("the ledger was not told of this dispatcher: %s", error)
            await asyncio.sleep(TELL_SECONDS)

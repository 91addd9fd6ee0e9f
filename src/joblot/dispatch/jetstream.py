"""Publishes leases to workers through NATS JetStream. The ledger remains the only truth.

A dispatcher claims in the ledger and publishes the grants; a worker pulls one, and takes the lease
in the ledger, which gives it to the first. Then it renews and reports as any other worker. So
nothing depends on whether NATS loses, repeats or delays a message: a grant that can't be delivered
is withdrawn and its items are leased again, and one that is delivered late is refused.
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
from joblot.dispatch.publisher import Call, DispatcherSettings, Publisher
from joblot.errors import JoblotError
from joblot.ledger.claim.take import all_offered, withdraw
from joblot.ledger.read.dispatchers import DOWN_SINCE, ERROR
from joblot.ledger.rows import workers
from joblot.ledger.rows.names import checked_name
from joblot.models import NO_OWNER
from joblot.worker.nats_address import NatsAddress

logger = logging.getLogger("joblot.dispatch")

ERROR_CHARS_MAX = 200
RECORD_SECONDS = 2.0  # between two records in the ledger of the state of NATS


class JetStream:
    """A dispatcher for `pipelines`."""

    name = "jetstream"
    capabilities = Capabilities(notifies=False, publishes_leases=True)

    def __init__(
        self,
        address: NatsAddress,
        pipelines: Sequence[str],
        call: Call,
        settings: DispatcherSettings,
        on_connected: OnConnected | None = None,
    ) -> None:
        checked_name(settings.name, "name")
        self._call = call
        self._settings = settings
        self._pipelines = tuple(checked_name(one, "pipeline") for one in pipelines)
        self._on_connected = on_connected
        self.broker = Broker(address, self._pipelines, self._subscribe)
        self.publishers = [Publisher(one, self.broker, call, settings) for one in self._pipelines]

    @property
    def is_up(self) -> bool:
        return self.broker.is_up

    def verify(self) -> None:
        """NATS is checked all the time."""

    def note_work(self) -> None:
        """There may be work in the ledger."""
        for publisher in self.publishers:
            publisher.note_work()

    async def run(self, on_work: OnWork) -> None:
        """Publish grants until canceled. Calls `on_work` never: workers pull."""
        await self._withdraw_leftovers()
        parts = [self.broker.run(), self._record_state(), *(one.run() for one in self.publishers)]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for publisher in self.publishers:
                publisher.end()
            self.broker.end()
            for task in reversed(tasks):  # the publishers withdraw while NATS is connected
                task.cancel()
            await asyncio.wait(tasks)

    async def _withdraw_leftovers(self) -> None:
        """Withdraw the grants of an earlier process of this name."""
        while True:
            try:
                for token in await self._call(all_offered, self._settings.name):
                    await self._call(withdraw, token, self._settings.name)
            except JoblotError as error:
                logger.warning("waiting for the ledger: %s", error)
                await asyncio.sleep(RECORD_SECONDS)
            else:
                return

    async def _subscribe(self, client: Client) -> None:
        await client.subscribe(grants.TAKEN, cb=self._on_taken)
        if self._on_connected is not None:
            await self._on_connected(client)

    async def _on_taken(self, message: Msg) -> None:
        try:
            token = UUID(message.data.decode())
        except ValueError:
            return
        for publisher in self.publishers:
            publisher.remove(token)

    async def _record_state(self) -> None:
        """Record in the ledger that this dispatcher runs, and whether NATS is up."""
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
                logger.info("the state of this dispatcher was not recorded: %s", error)
            await asyncio.sleep(RECORD_SECONDS)

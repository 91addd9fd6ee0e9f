"""The dispatcher's connection to NATS, and its stream of grants, which is created if it is missing.

Whatever NATS answers is a hint: it affects only when grants are published, and which are withdrawn
because they can't reach a worker any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from joblot import grants
from joblot.worker.nats_address import NatsAddress
from joblot.worker.nats_connection import connect, require_signing, until_closed

logger = logging.getLogger("joblot.dispatch")

CHECK_SECONDS = 0.5  # between two checks of the stream
RESPONSE_SECONDS_MAX = 3.0  # of NATS
ACK_WAIT_SECONDS = 30.0  # after which NATS redelivers an unacknowledged message
RECONNECT_SECONDS = 0.5  # after the connection was closed for good
HEADERS_BYTES_MAX = 4_096  # of a message

FAILURES = (NatsError, JetStreamError, OSError, asyncio.TimeoutError)
OnConnected = Callable[[Client], Awaitable[Any]]


class Broker:
    """NATS at `address`, with a stream of the grants of `pipelines`."""

    def __init__(
        self,
        address: NatsAddress,
        pipelines: Sequence[str],
        on_connected: OnConnected | None = None,
    ) -> None:
        """Raises Unavailable if a dependency is missing."""
        require_signing(address)
        self._address = address
        self._pipelines = pipelines
        self._on_connected = on_connected
        self._client = Client()
        self._is_subscribed = False
        self._has_ended = False
        self._created = ""  # the time of the stream's creation
        self.generation = 0  # counts the streams: messages in an earlier one are lost
        self.is_up = False
        self.changed_at = time.monotonic()  # when `is_up` has changed
        self.error = "not connected yet"

    @property
    def payload_bytes_max(self) -> int:
        return self._client.max_payload - HEADERS_BYTES_MAX

    @property
    def down_seconds(self) -> float:
        return 0.0 if self.is_up else time.monotonic() - self.changed_at

    async def run(self) -> None:
        """Connect, and check the stream, until `end` and a cancellation."""
        connecting = asyncio.create_task(self._stay_connected())
        try:
            while not self._has_ended:
                await self._check()
                await asyncio.sleep(CHECK_SECONDS)
        finally:
            await canceled(connecting)
            if self._client.is_connected:
                await self._client.close()

    def end(self) -> None:
        """The next cancellation is the last step, even if a library swallows it."""
        self._has_ended = True

    async def publish(self, subject: str, data: bytes) -> int:
        """Returns the sequence of the message that was stored. Raises one of FAILURES."""
        stream = self._client.jetstream()
        ack = await stream.publish(
            subject, data, timeout=RESPONSE_SECONDS_MAX, stream=grants.STREAM
        )
        return ack.seq

    async def has_message(self, sequence: int) -> bool:
        """Whether it is still in the stream. Raises one of FAILURES."""
        try:
            await self._client.jetstream().get_msg(grants.STREAM, sequence)
        except NotFoundError:
            return False
        return True

    async def delete_message(self, sequence: int) -> None:
        """If that is possible: a worker would be refused its lease."""
        try:
            await self._client.jetstream().delete_msg(grants.STREAM, sequence)
        except FAILURES:
            logger.debug("message %d remains in the stream; its lease has ended", sequence)

    async def _stay_connected(self) -> None:
        """Connect; the client reconnects by itself, unless its credentials have expired."""
        while True:
            try:
                await connect(self._client, self._address, "joblot dispatch", self._failed)
                await until_closed(self._client)
            except Exception as error:  # noqa: BLE001 (as of a file without credentials)
                await self._failed(error)
                await self._client.close()
            await asyncio.sleep(RECONNECT_SECONDS)
            self._client, self._is_subscribed = Client(), False

    async def _failed(self, error: Exception) -> None:
        self.error = str(error) or type(error).__name__

    async def _check(self) -> None:
        try:
            if not self._client.is_connected:
                raise OSError(f"NATS can't be reached: {self.error}")
            if not self._is_subscribed and self._on_connected is not None:
                await self._on_connected(self._client)
            self._is_subscribed = True
            await self._ensure_stream()
        except FAILURES as error:
            self._set_state(is_up=False, error=str(error) or type(error).__name__)
        else:
            self._set_state(is_up=True, error="")

    async def _ensure_stream(self) -> None:
        manager = self._client.jsm(timeout=RESPONSE_SECONDS_MAX)
        try:
            info = await manager.stream_info(grants.STREAM)
        except NotFoundError:
            info = await manager.add_stream(
                StreamConfig(
                    name=grants.STREAM,
                    subjects=[f"{grants.SUBJECTS}.*"],
                    retention=RetentionPolicy.WORK_QUEUE,
                )
            )
        if str(info.created) != self._created:
            self._created = str(info.created)
            self.generation += 1
        for pipeline in self._pipelines:
            await _ensure_consumer(manager, pipeline)

    def _set_state(self, *, is_up: bool, error: str) -> None:
        if is_up != self.is_up:
            self.is_up, self.changed_at = is_up, time.monotonic()
            if is_up:
                logger.info("NATS and its stream %s are up", grants.STREAM)
            else:
                logger.warning("grants can't be published: %s", error)
        self.error = error


async def canceled(task: asyncio.Task[Any]) -> None:
    """Cancel the task, and wait until it is done.

    NATS's client waits by `asyncio.wait_for`, which swallows a cancellation that comes together
    with the result (until Python 3.12), so it is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CHECK_SECONDS)


async def _ensure_consumer(manager: Any, pipeline: str) -> None:
    """Workers share it: NATS delivers each message to one of them, until it is acknowledged."""
    name = grants.consumer_of(pipeline)
    try:
        await manager.consumer_info(grants.STREAM, name)
    except NotFoundError:
        config = ConsumerConfig(
            durable_name=name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            filter_subject=grants.subject_of(pipeline),
        )
        await manager.add_consumer(grants.STREAM, config)

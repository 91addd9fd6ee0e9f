"""The connection to NATS, and the stream of grants: made when it is missing, and watched.

Whatever it says is a hint. `is_up` and `life` only decide when grants are sent, and which of them
are taken back, since they can't reach anybody any more.
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

logger = logging.getLogger("joblot.dispatch")

LOOK_SECONDS = 0.5  # between two looks at the stream
ANSWER_SECONDS_MAX = 3.0  # of NATS
ACK_WAIT_SECONDS = 30.0  # after which an unacknowledged message is brought to another worker
RECONNECT_SECONDS = 0.5
HEAD_BYTES_MAX = 4_096  # of a message, beside its data

FAILURES = (NatsError, JetStreamError, OSError, asyncio.TimeoutError)
OnConnected = Callable[[Client], Awaitable[Any]]


class Broker:
    """NATS at `url`, with a stream of the grants of `pipelines`."""

    def __init__(
        self, url: str, pipelines: Sequence[str], on_connected: OnConnected | None = None
    ) -> None:
        self._url = url
        self._pipelines = pipelines
        self._on_connected = on_connected
        self._client = Client()
        self._is_subscribed = False
        self._life = ""  # when the stream was created
        self.life = 0  # counts the streams: what was sent to an earlier one is lost
        self.is_up = False
        self.changed_at = time.monotonic()  # `is_up` has
        self.changed = asyncio.Event()
        self.error = "not connected yet"

    @property
    def payload_bytes_max(self) -> int:
        return self._client.max_payload - HEAD_BYTES_MAX

    @property
    def down_seconds(self) -> float:
        return 0.0 if self.is_up else time.monotonic() - self.changed_at

    async def run(self) -> None:
        """Connect, and look at the stream, until cancelled."""
        connecting = asyncio.create_task(self._connect())
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            connecting.cancel()
            await asyncio.wait({connecting})
            if self._client.is_connected:
                await self._client.close()

    async def publish(self, subject: str, data: bytes) -> int:
        """Store a message; returns its number in the stream. Raises one of FAILURES."""
        stream = self._client.jetstream()
        ack = await stream.publish(subject, data, timeout=ANSWER_SECONDS_MAX, stream=grants.STREAM)
        return ack.seq

    async def holds(self, place: int) -> bool:
        """Whether the stream has this message still. Raises one of FAILURES."""
        try:
            await self._client.jetstream().get_msg(grants.STREAM, place)
        except NotFoundError:
            return False
        return True

    async def remove(self, place: int) -> None:
        """Remove a message that nobody is to get any more, if that is possible."""
        try:
            await self._client.jetstream().delete_msg(grants.STREAM, place)
        except FAILURES:
            logger.debug("message %d stays in the stream; its lease has ended", place)

    async def _connect(self) -> None:
        """Connect as often as it takes; later, the client reconnects by itself."""
        await self._client.connect(
            self._url,
            name="joblot dispatch",
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
            connect_timeout=int(ANSWER_SECONDS_MAX),
            ping_interval=int(ANSWER_SECONDS_MAX),
            error_cb=self._failed,
        )

    async def _failed(self, error: Exception) -> None:
        self.error = str(error) or type(error).__name__

    async def _look(self) -> None:
        try:
            if not self._client.is_connected:
                raise OSError(f"NATS can't be reached: {self.error}")
            if not self._is_subscribed and self._on_connected is not None:
                await self._on_connected(self._client)
            self._is_subscribed = True
            await self._require_stream()
        except FAILURES as error:
            self._turn(is_up=False, error=str(error) or type(error).__name__)
        else:
            self._turn(is_up=True, error="")

    async def _require_stream(self) -> None:
        manager = self._client.jsm(timeout=ANSWER_SECONDS_MAX)
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
        if str(info.created) != self._life:
            self._life = str(info.created)
            self.life += 1
        for pipeline in self._pipelines:
            await _require_consumer(manager, pipeline)

    def _turn(self, *, is_up: bool, error: str) -> None:
        if is_up != self.is_up:
            self.is_up, self.changed_at = is_up, time.monotonic()
            if is_up:
                logger.info("NATS and its stream %s are up", grants.STREAM)
            else:
                logger.warning("grants can't be sent: %s", error)
        self.error = error
        self.changed.set()


async def _require_consumer(manager: Any, pipeline: str) -> None:
    """Workers share it: each message goes to one of them, until it is acknowledged."""
    name = grants.name_of(pipeline)
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

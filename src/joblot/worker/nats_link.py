"""A connection to NATS for threads: an event loop in a thread of its own.

It connects in the background, and reconnects for as long as it is open. Each request stands alone,
with its own deadline, so none depends on a subscription that a restarted server has forgotten.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, TypeVar

from joblot import grants
from joblot.errors import Unavailable

try:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import Error as NatsError
except ImportError as error:
    raise Unavailable(
        "NATS's client is missing; install it with: pip install 'joblot[nats]'"
    ) from error

logger = logging.getLogger("joblot.worker")

CONNECT_SECONDS_MAX = 3
RECONNECT_SECONDS = 0.5
SLACK_SECONDS = 2.0  # beyond a request's own deadline
CLOSE_SECONDS_MAX = 5.0
ACK = b"+ACK"
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{grants.STREAM}"

T = TypeVar("T")


class NatsLink:
    """NATS at `url`. Any thread may use it. Raises Unavailable where the other side is silent."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = Client()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="joblot-nats", daemon=True)
        self._thread.start()
        self._connecting: Future[None] = asyncio.run_coroutine_threadsafe(
            self._connect(), self._loop
        )
        with suppress(FutureTimeout):  # it goes on in the background
            self._connecting.result(CONNECT_SECONDS_MAX)

    @property
    def is_up(self) -> bool:
        return self._client.is_connected

    @property
    def payload_bytes_max(self) -> int:
        return self._client.max_payload

    def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], seconds: float
    ) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of the answer. Raises Unavailable: the outcome is unknown."""
        answer = self._call(
            self._client.request(subject, data, timeout=seconds, headers=dict(headers)), seconds
        )
        return answer.headers or {}, answer.data

    def pull(self, pipeline: str, seconds: float) -> Msg | None:
        """The next grant, which is to be acknowledged; None if there is none in time.

        Raises Unavailable if there is no stream, or nobody answers.
        """
        asked: dict[str, Any] = {"batch": 1}
        asked |= {"expires": int(seconds * 1e9)} if seconds else {"no_wait": True}
        subject = f"{NEXT}.{grants.name_of(pipeline)}"
        limit = seconds + SLACK_SECONDS
        answer = self._call(self._next(subject, json.dumps(asked).encode(), limit), limit)
        status = (answer.headers or {}).get("Status")
        if status in {"404", "408"}:
            return None
        if status is not None:
            what = (answer.headers or {}).get("Description", "")
            raise Unavailable(f"NATS: {status} {what}")
        return answer

    def acknowledge(self, message: Msg, taken: str = "") -> None:
        """The message is not to be brought again; `taken` is the lease that this worker took."""
        self._call(self._acknowledge(message, taken), SLACK_SECONDS)

    def close(self) -> None:
        """End the connection and its thread."""
        self._connecting.cancel()
        try:
            self._call(self._client.close(), CLOSE_SECONDS_MAX)
        except Unavailable as error:
            logger.debug("%s", error)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)

    async def _next(self, subject: str, asked: bytes, seconds: float) -> Msg:
        """Its answer has the subject of the grant, so it needs an inbox of its own."""
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        try:
            await self._client.publish(subject, asked, reply=inbox)
            return await answers.next_msg(seconds)
        finally:
            await answers.unsubscribe()

    async def _acknowledge(self, message: Msg, taken: str) -> None:
        await self._client.publish(message.reply, ACK)
        if taken:
            await self._client.publish(grants.TAKEN, taken.encode())

    def _call(self, asked: Coroutine[Any, Any, T], seconds: float) -> T:
        if not self._loop.is_running() and not self._thread.is_alive():
            asked.close()
            raise Unavailable("the connection to NATS is closed")
        running = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return running.result(seconds + SLACK_SECONDS)
        except (TimeoutError, NatsError, OSError, FutureTimeout) as error:
            running.cancel()
            raise Unavailable(f"NATS: {str(error) or type(error).__name__}") from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connect(self) -> None:
        await self._client.connect(
            self._url,
            name="joblot worker",
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
            connect_timeout=CONNECT_SECONDS_MAX,
            ping_interval=CONNECT_SECONDS_MAX,
            error_cb=self._failed,
        )

    async def _failed(self, error: Exception) -> None:
        logger.info("NATS: %s", str(error) or type(error).__name__)

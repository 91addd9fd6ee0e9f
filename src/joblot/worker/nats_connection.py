"""A connection to NATS that threads share: its event loop runs in a thread of its own.

It connects in the background, and reconnects for as long as it is open. Each request is
independent and has its own deadline, so none needs a subscription that a restarted server has lost.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from joblot import grants
from joblot.errors import Unavailable
from joblot.worker.nats_address import NatsAddress

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
ACK, NAK = b"+ACK", b"-NAK"
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{grants.STREAM}"

T = TypeVar("T")


class NatsConnection:
    """NATS at `address`; any thread may use it.

    Each call raises Unavailable if NATS can't be reached or does not answer in time.
    """

    def __init__(self, address: NatsAddress) -> None:
        """Raises Unavailable if a dependency is missing."""
        require_signing(address)
        self._address = address
        self._client = Client()
        self.error = "not connected yet"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="joblot-nats", daemon=True)
        self._thread.start()
        first = threading.Event()
        self._connecting = asyncio.run_coroutine_threadsafe(self._stay_connected(first), self._loop)
        first.wait(CONNECT_SECONDS_MAX)  # it continues in the background

    @property
    def is_up(self) -> bool:
        return self._client.is_connected

    @property
    def payload_bytes_max(self) -> int:
        return self._client.max_payload

    def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], seconds: float
    ) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of the response. After Unavailable, the outcome is unknown."""
        asked = self._client.request(subject, data, timeout=seconds, headers=dict(headers))
        response = self._wait_for(asked, seconds)
        return response.headers or {}, response.data

    def fetch(self, pipeline: str, seconds: float) -> Msg | None:
        """The next grant, which must be acknowledged; None if none comes in time.

        Raises Unavailable also if the stream or its consumer is missing.
        """
        asked: dict[str, Any] = {"batch": 1}
        asked |= {"expires": int(seconds * 1e9)} if seconds else {"no_wait": True}
        subject = f"{NEXT}.{grants.consumer_of(pipeline)}"
        limit = seconds + SLACK_SECONDS
        message = self._wait_for(self._fetch(subject, json.dumps(asked).encode(), limit), limit)
        headers = message.headers or {}
        status = headers.get("Status")
        if status in {"404", "408"}:
            return None
        if status is not None:
            raise Unavailable(f"NATS: {status} {headers.get('Description', '')}")
        return message

    def acknowledge(self, message: Msg, taken: str = "") -> None:
        """NATS redelivers the message no more. `taken` is the lease that this worker has taken."""
        self._wait_for(self._acknowledge(message, taken), SLACK_SECONDS)

    def redeliver(self, message: Msg, after_seconds: float) -> None:
        """Have NATS deliver the message again, to any worker."""
        delay = json.dumps({"delay": int(after_seconds * 1e9)}).encode()
        self._wait_for(self._client.publish(message.reply, NAK + b" " + delay), SLACK_SECONDS)

    def close(self) -> None:
        """End the connection and its thread."""
        self._connecting.cancel()
        try:
            self._wait_for(self._client.close(), CLOSE_SECONDS_MAX)
        except Unavailable as error:
            logger.debug("%s", error)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)

    async def _fetch(self, subject: str, asked: bytes, seconds: float) -> Msg:
        """The answer has the subject of the grant, so it needs an inbox of its own."""
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

    def _wait_for(self, asked: Coroutine[Any, Any, T], seconds: float) -> T:
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

    async def _stay_connected(self, first: threading.Event) -> None:
        """Connect; the client reconnects by itself, unless its credentials have expired."""
        while True:
            try:
                await connect(self._client, self._address, "joblot worker", self._failed)
                first.set()
                await until_closed(self._client)
            except Exception as error:  # noqa: BLE001 (as of a file without credentials)
                await self._failed(error)
                await self._client.close()
            await asyncio.sleep(RECONNECT_SECONDS)
            self._client = Client()

    async def _failed(self, error: Exception) -> None:
        self.error = str(error) or type(error).__name__
        logger.info("NATS: %s", self.error)


async def connect(client: Client, address: NatsAddress, name: str, on_error: Any) -> None:
    """Connect, however many attempts it takes."""
    await client.connect(
        **address.options,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
        connect_timeout=CONNECT_SECONDS_MAX,
        ping_interval=CONNECT_SECONDS_MAX,
        error_cb=on_error,
    )


async def until_closed(client: Client) -> None:
    """Until it will not reconnect. It calls its `closed_cb` in most of these cases only."""
    while not client.is_closed:  # noqa: ASYNC110 (it has no event)
        await asyncio.sleep(RECONNECT_SECONDS)


def require_signing(address: NatsAddress) -> None:
    """Raises Unavailable if its `.creds` file needs what is not installed."""
    if address.credentials_file and importlib.util.find_spec("nkeys") is None:
        raise Unavailable(
            "a .creds file needs the package nkeys; install it with: pip install 'joblot[nats]'"
        )

"""Requests of workers that come over NATS, answered by the same views as over HTTP.

A message holds what an HTTP request would: its method, target, the headers of the API, a body. It
is authenticated by the same tokens. NATS's request/reply carries it: if the answer is lost, the
worker repeats the request, which is always safe.
"""

from __future__ import annotations

import asyncio
import io
import logging
from typing import Any
from urllib.parse import unquote

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from joblot import grants
from joblot.server.bridge import Bridge, Scope, WholeResponse

logger = logging.getLogger("joblot.server")

PATHS = ("/api/v1/claims", "/api/v1/leases/", "/api/v1/results")  # of the workers' verbs
PASSED_ON = ("authorization", "content-type", "content-encoding", "joblot-worker")
ANSWERED = ("content-type", "retry-after")
AT_ONCE_MAX = 256  # requests; further ones wait in NATS, whose senders repeat them


class Responder:
    """Answers through the bridge's threads."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._free = asyncio.Semaphore(AT_ONCE_MAX)
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self, client: Client) -> None:
        """Answer what comes from now on, over this connection and its later reconnections."""

        async def begin(message: Msg) -> None:
            await self._free.acquire()
            task = asyncio.create_task(self._answer(client, message))
            self._answering.add(task)
            task.add_done_callback(self._answered)

        await client.subscribe(grants.REQUESTS, queue=grants.RESPONDERS, cb=begin)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._free.release()

    async def _answer(self, client: Client, message: Msg) -> None:
        scope = scope_of(message.headers or {}, len(message.data))
        if scope is None or not message.reply:
            return
        answer = await self._bridge.ask(scope, io.BytesIO(message.data))
        try:
            await client.publish(message.reply, answer.body, headers=_headers(answer))
        except NatsError as error:
            logger.info("an answer was not sent; its worker will ask again: %s", error)


def scope_of(headers: dict[str, str], length: int) -> Scope | None:
    """The request as ASGI has it; None if it is not one of a worker's."""
    given = {name.lower(): value for name, value in headers.items()}
    target = given.get(grants.TARGET.lower(), "")
    path, _, query = target.partition("?")
    if given.get(grants.METHOD.lower()) != "POST" or not path.startswith(PATHS):
        return None
    sent: list[tuple[bytes, bytes]] = [
        (name.encode(), given[name].encode("latin-1")) for name in PASSED_ON if name in given
    ]
    own: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": None,
        "server": ("localhost", 80),
    }
    length_of = (b"content-length", str(length).encode())
    return own | {"headers": [(b"host", b"localhost"), length_of, *sent]}


def _headers(answer: WholeResponse) -> dict[str, str]:
    found = {name.decode().lower(): value.decode("latin-1") for name, value in answer.headers}
    passed = {name: found[name] for name in ANSWERED if name in found}
    return {grants.STATUS: str(answer.status), **passed}

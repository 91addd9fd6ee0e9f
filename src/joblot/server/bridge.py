"""Django's views, called by threads of their own, from an event loop.

A thread gets a request once its body is here, and gives the answer back whole: so no slow or dead
peer ever holds a thread, and each thread keeps its database connection.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, ParamSpec, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

P = ParamSpec("P")
R = TypeVar("R")

SPOOL_BYTES = 1_048_576  # a larger body waits in a file


class Gone(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        wanted = name.lower().encode()
        found = (value for key, value in self.headers if key.lower() == wanted)
        value = next(found, None)
        return None if value is None else value.decode("latin-1")

    def without(self, *names: str) -> list[tuple[bytes, bytes]]:
        dropped = {name.lower().encode() for name in names}
        return [(key, value) for key, value in self.headers if key.lower() not in dropped]


class Bridge(BaseHandler):
    """Calls Django for one request at a time in each of its threads."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.load_middleware()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="joblot-request")

    async def ask(self, scope: Scope, body: IO[bytes]) -> Answer:
        """Django's answer to the request; closes `body`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, scope, body)

    async def call(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A reader of the ledger, in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(verb, *args, **kwargs))

    def close(self) -> None:
        """Wait for what the threads are at."""
        self._pool.shutdown(wait=True)

    def _answer(self, scope: Scope, body: IO[bytes]) -> Answer:
        with body:
            set_script_prefix(scope.get("root_path", "") or "/")
            request_started.send(sender=type(self), scope=scope)
            response = self.get_response(ASGIRequest(scope, body))
            try:
                return _whole(response)
            finally:
                response.close()


async def read_body(receive: Receive, bytes_max: int) -> IO[bytes] | None:
    """The request's body, on disk where it is large; None if it is larger than `bytes_max`.

    What is too much is read to its end all the same, up to as much again, so that a client that
    only listens after it has sent gets its answer. Raises Gone.
    """
    body: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # type: ignore[assignment]  # noqa: SIM115
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.close()
            raise Gone
        piece = message.get("body", b"")
        size += len(piece)
        if size <= bytes_max:
            body.write(piece)
        if not message.get("more_body", False) or size > 2 * bytes_max:
            break
    if size > bytes_max:
        body.close()
        return None
    body.seek(0)
    return body


async def send_answer(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def _whole(response: HttpResponseBase) -> Answer:
    assert isinstance(response, HttpResponse), "views answer whole; streams are many answers"
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"Set-Cookie", cookie.output(header="").strip().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    if not response.has_header("Content-Length"):
        headers.append((b"Content-Length", str(len(response.content)).encode()))
    return Answer(response.status_code, headers, response.content)

"""Django's views, called from an event loop in a pool of threads.

A thread gets a request once its body has arrived, and returns the whole response: so no slow or
dead peer ever holds a thread. Each thread keeps its database connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, ParamSpec, Self, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpResponseBase
from django.urls import set_script_prefix

from joblot.api.long_polling import FollowUp, follow_up_of
from joblot.api.memory import give_back
from joblot.api.problems import ProblemResponse

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class WholeResponse:
    """A view's response, and what may follow it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    follow_up: FollowUp | None = None

    @classmethod
    def of(cls, response: HttpResponseBase) -> Self:
        """The response with its length. A project's own view may return a file."""
        content: bytes = response.getvalue()
        headers = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
        headers += [
            (b"Set-Cookie", cookie.output(header="").strip().encode("ascii"))
            for cookie in response.cookies.values()
        ]
        if not response.has_header("Content-Length"):
            headers.append((b"Content-Length", str(len(content)).encode()))
        return cls(response.status_code, headers, content, follow_up_of(response))


class Bridge(BaseHandler):
    """Calls Django for one request at a time in each of its threads."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.load_middleware()
        self._connections: list[BaseDatabaseWrapper] = []  # Threads: each appends its own
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="joblot-request", initializer=self._begin
        )

    async def ask(self, scope: Scope, body: IO[bytes]) -> WholeResponse:
        """Django's response to the request; closes `body`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, scope, body)

    async def call(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a verb of the ledger in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(verb, *args, **kwargs))

    def close(self) -> None:
        """Wait until the threads are idle, and close their database connections."""
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _begin(self) -> None:
        """Keep the connections of this new thread, so that another thread can close them.

        To give each thread a last call that closes its own is not safe: the pool starts threads on
        demand, and may start fewer than there are calls that wait for each other.
        """
        for connection in connections.all():
            connection.inc_thread_sharing()
            self._connections.append(connection)

    def _answer(self, scope: Scope, body: IO[bytes]) -> WholeResponse:
        with body:
            answer = self._asked(scope, body)
        give_back()
        return answer

    def _asked(self, scope: Scope, body: IO[bytes]) -> WholeResponse:
        set_script_prefix(scope.get("root_path", "") or "/")
        request_started.send(sender=type(self), scope=scope)
        response: HttpResponseBase
        try:
            request = ASGIRequest(scope, body)
        except UnicodeDecodeError:
            response = ProblemResponse(400, "not_readable", "query: expected text in UTF-8, quoted")
        else:
            response = self.get_response(request)
        try:
            return WholeResponse.of(response)
        finally:
            response.close()

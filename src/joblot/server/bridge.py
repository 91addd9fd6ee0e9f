"""Django's views, called from an event loop in a pool of threads.

A thread gets a request once its body has arrived, and returns the whole response: so no slow or
dead peer ever holds a thread. Each thread keeps its database connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, ParamSpec, Self, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import connections
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
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="joblot-request")

    def start(self) -> None:
        """Start all threads."""
        self._occupy_all(lambda: None)

    async def ask(self, scope: Scope, body: IO[bytes]) -> WholeResponse:
        """Django's response to the request; closes `body`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, scope, body)

    async def call(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a verb of the ledger in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(verb, *args, **kwargs))

    def close(self) -> None:
        """Wait until the threads are idle; each closes its database connections. They must have
        been started.
        """
        self._occupy_all(connections.close_all)
        self._pool.shutdown(wait=True)

    def _occupy_all(self, then: Callable[[], object]) -> None:
        """Call `then` in each thread, once all of them wait for each other.

        None of the threads may exist, or all: a pool that has started some may count one as idle
        that has just taken a call, start too few others, and so wait forever.
        """
        all_there = threading.Barrier(self._threads)

        def occupy() -> None:
            all_there.wait()  # so that each thread gets one of these
            then()

        for _ in range(self._threads):
            self._pool.submit(occupy)

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

"""Requests to a server of the same user and machine, through its socket, with the local token."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import httpx

from joblot import local
from joblot.errors import Unavailable


class LocalTransport(httpx.BaseTransport):
    """The httpx transport to a server of the same user, at a local URL.

    Nothing goes over TCP, where another user may listen on the port. The socket and the token are
    looked up for each request: the server may start later or restart, and the token may change.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._open: dict[Path, httpx.HTTPTransport] = {}
        self._held = ExitStack()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = local.find_socket(self._url)
        if path is None:
            raise Unavailable(
                f"you have no server running at {self._url}: start one with `joblot serve`, or "
                "set JOBLOT_TOKEN to a token of another user's server"
            )
        request.headers["Authorization"] = f"Bearer {local.read_token(local.token_file())}"
        return self._through(path).handle_request(request)

    def _through(self, path: Path) -> httpx.HTTPTransport:
        with self._lock:
            if path not in self._open:
                short = local.short(path, self._held)
                transport = httpx.HTTPTransport(uds=short, verify=False)
                self._open[path] = self._held.enter_context(transport)
            return self._open[path]

    def close(self) -> None:
        self._held.close()

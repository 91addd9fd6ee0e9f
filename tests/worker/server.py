"""The API over real HTTP, on the test's database, behind a network with scripted faults."""

from __future__ import annotations

import gzip
import io
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from tests.ports import kept


@dataclass
class Network:
    """The faults between the worker and the server. Paths are the last part of a URL."""

    lose_answers: Counter[str] = field(
        default_factory=Counter
    )  # how many to lose, after the requests were served
    refuse: dict[str, bytes] = field(
        default_factory=dict
    )  # a whole answer, from something else than joblot
    body_bytes_max: int = 0  # a proxy's limit for the bytes on the wire
    fail_on: bytes = b""  # a report that contains it is answered with `failure`
    failure: bytes = b""
    swallow: set[str] = field(default_factory=set)  # paths whose requests are never answered
    seen: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    on_request: Callable[[str], object] = lambda path: None

    def paths(self, path: str) -> int:
        """The number of requests for this path."""
        return sum(seen == path for seen, _, _ in self.seen)


class Server:
    """`start` and `stop` may be repeated; the address stays the same."""

    def __init__(self) -> None:
        self.network = Network()
        self._released = threading.Event()
        self._kept = ExitStack()
        self._port = self._kept.enter_context(kept())
        self._http: _Http | None = None
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._released.clear()
        self._http = _Http(("127.0.0.1", self._port), _Request)
        self._http.network, self._http.released = self.network, self._released
        self._http.set_app(WSGIHandler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Finish the current requests; then nothing listens any more."""
        if self._http is not None and self._thread is not None:
            self._released.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
            self._http = None

    def close(self) -> None:
        self.stop()
        self._kept.close()


class _Http(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # so that closing waits for current requests
    network: Network
    released: threading.Event

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()


def _unzipped(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


class _Request(WSGIRequestHandler):
    """One request. `server` is the Http above."""

    server: Any

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            return
        network, path = self.server.network, self.path.rpartition("/")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        network.seen.append((path, dict(self.headers), len(body)))
        network.on_request(path)
        if path in network.swallow:
            self.server.released.wait(30)
        elif 0 < network.body_bytes_max < len(body):
            self.wfile.write(b"HTTP/1.0 413 Too Large\r\nContent-Type: text/html\r\n\r\n<html>")
        elif path == "results" and network.fail_on and network.fail_on in _unzipped(body):
            self.wfile.write(network.failure)
        elif path in network.refuse:
            self.wfile.write(network.refuse[path])
        else:
            self._answer(path, body)

    def _answer(self, path: str, body: bytes) -> None:
        answer = io.BytesIO()
        handler = ServerHandler(
            io.BytesIO(body), answer, self.get_stderr(), self.get_environ(), multithread=True
        )
        handler.request_handler = self  # type: ignore[attr-defined]
        try:
            handler.run(self.server.get_app())
        finally:
            connections.close_all()
        if self.server.network.lose_answers[path]:
            self.server.network.lose_answers[path] -= 1
            return
        self.wfile.write(answer.getvalue())

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

"""Receivers: an HTTP server with scripted answers, and sockets that misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joblot.webhooks.receiver import Message, verify
from tests.server.fault_proxy import messages

SECONDS_MAX = 30


@dataclass(frozen=True)
class Got:
    """A request as received."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])


class Receiver:
    """Sends the scripted answers in order, then 204. `hold` makes it answer nothing."""

    def __init__(self, host: str, tls: ssl.SSLContext | None = None) -> None:
        self.secret = ""
        self.got: list[Got] = []
        self._answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self._go_on = threading.Event()
        self._go_on.set()
        server_type = type("Server", (_Server,), {"address_family": _family(host)})
        self._server = server_type((host, 0), type("Handler", (_Handler,), {"receiver": self}))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/hook?from=joblot"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, *statuses: int, body: bytes = b"", **headers: str) -> None:
        """Set the answers to the next requests; `retry_after` is the header Retry-After."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.extend((status, sent, body) for status in statuses)

    def hold(self) -> None:
        """Accept requests, but answer them only once `go_on` is called."""
        self._go_on.clear()

    def go_on(self) -> None:
        self._go_on.set()

    def verified(self) -> list[Message]:
        return [verify(self.secret, one.headers, one.body) for one in self.got]

    def close(self) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()

    def take(self, got: Got) -> tuple[int, dict[str, str], bytes]:
        self.got.append(got)
        answer = self._answers.popleft() if self._answers else (204, {}, b"")
        self._go_on.wait(SECONDS_MAX)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a sender that has gone away is not an error of the receiver."""


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, text = self.receiver.take(Got(self.path, dict(self.headers), body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        pass


class Misbehaving:
    """A socket that passes each connection to `speak`, in a thread, once it has read the whole
    request: closing with unread data would reset the connection and drop the answer.
    """

    def __init__(self, speak: Callable[[socket.socket], None]) -> None:
        self._speak = speak
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(SECONDS_MAX)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, suppress(OSError):
                    next(messages(connection), b"")
                    self._speak(connection)


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

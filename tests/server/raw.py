"""Raw HTTP: requests that a library would not send, or not in such pieces."""

from __future__ import annotations

import json
import select
import socket
from http.client import BadStatusLine, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joblot import private

SECONDS_MAX = 30.0
TOKEN = f"joblot_local_{'t' * 43}"  # the local token of the tests' servers
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def write_token(folder: Path) -> Path:
    """Write the file of the local token, which a server then accepts."""
    path = private.make_folder(folder) / "local.header"
    private.write_file(path, f"Authorization: Bearer {TOKEN}\n".encode())
    return path


def request(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """A whole request with the tests' token; `body` is sent as it is if bytes, else as JSON."""
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    given = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **AUTHORIZED,
    }
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


class Raw:
    """One connection."""

    def __init__(self, port: int, *, receive_bytes: int | None = None) -> None:
        """`receive_bytes`: how much the kernel buffers while the client does not read."""
        self.socket = socket.socket()
        self.socket.settimeout(SECONDS_MAX)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.response: HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.response is not None:
            self.response.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> HTTPResponse:
        """Read the head of the answer, from which its body can be read."""
        self.response = HTTPResponse(self.socket)
        self.response.begin()
        return self.response

    def end(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def status(self, seconds_max: float) -> int | None:
        """The answer's status; None if the connection ends without one.

        After `seconds_max` without an answer, end the request: the server may wait for its rest.
        """
        if not select.select([self.socket], [], [], seconds_max)[0]:
            self.end()
        try:
            return self.answer().status
        except (BadStatusLine, ConnectionError):
            return None

    def json(self) -> Any:
        return json.loads(self.answer().read())

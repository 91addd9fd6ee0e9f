"""A faulty network: a TCP proxy on loopback, with a script for each connection.

It understands just enough HTTP to find the end of requests and answers: by Content-Length.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

SECONDS_MAX = 30.0
PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Fault:
    """What happens to one request, and to its connection."""

    delay_seconds: float = 0.0  # before the request is forwarded
    request_bytes: int | None = None  # this much of the request arrives, then the connection is cut
    answer_bytes: int | None = None  # this much of the server's answer arrives
    times: int = 1  # how often the whole request is delivered; the last answer is returned
    silent: bool = False  # the request is accepted and nothing happens until the client gives up
    trickle_bytes: int | None = None  # the request is forwarded in pieces of this size


GOOD = Fault()
NO_ANSWER = Fault(answer_bytes=0)
CUT = Fault(request_bytes=40)
SILENT = Fault(silent=True)
TWICE = Fault(times=2)


def seeded(seed: int, share: float) -> Callable[[], Fault]:
    """Random faults for this share of the requests."""
    chance = random.Random(seed)
    kinds: list[Callable[[], Fault]] = [
        lambda: Fault(request_bytes=chance.randrange(400)),
        lambda: Fault(answer_bytes=chance.randrange(400)),
        lambda: Fault(times=chance.randint(2, 3)),
        lambda: Fault(times=2, answer_bytes=0),
        lambda: Fault(trickle_bytes=chance.randint(20, 200)),
        lambda: Fault(delay_seconds=chance.random() / 50),
    ]
    return lambda: chance.choice(kinds)() if chance.random() < share else GOOD


@dataclass
class FaultProxy:
    """Forwards to `port`, inside the block. `next_fault` is called for each request."""

    port: int
    next_fault: Callable[[], Fault] = lambda: GOOD
    seen: Counter[str] = field(default_factory=Counter)  # requests delivered whole, by path
    faults: int = 0  # requests with a fault
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS_MAX)
            assert not thread.is_alive(), "a connection of the proxy does not end"
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def script(self, faults: Iterable[Fault]) -> None:
        """These faults, one per request, then none."""
        left = iter(faults)
        self.next_fault = lambda: next(left, GOOD)

    def _accept(self) -> None:
        while not self._ends.is_set():
            with suppress(OSError):
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        """Serve one client's connection, request by request, until it or a fault ends it."""
        with self._held(client), suppress(OSError), client:
            for request in messages(client):
                with self._lock:
                    fault = self.next_fault()
                    self.faults += fault != GOOD
                if not self._deliver(client, request, fault):
                    return

    def _deliver(self, client: socket.socket, request: bytes, fault: Fault) -> bool:
        """Forward a request and its answer. False if the connection must be cut."""
        if fault.silent:
            client.recv(1)  # until the client gives up
            return False
        self._ends.wait(fault.delay_seconds)
        if fault.request_bytes is not None and fault.request_bytes < len(request):
            with self._to_server() as server:
                server.sendall(request[: fault.request_bytes])
            return False
        for _ in range(fault.times):
            answer = self._asked(request, fault.trickle_bytes or len(request))
        with self._lock:
            self.seen[request.split(maxsplit=2)[1].decode().rpartition("/")[2]] += fault.times
        client.sendall(answer[: fault.answer_bytes])
        return fault.answer_bytes is None

    def _asked(self, request: bytes, piece_bytes: int) -> bytes:
        with self._to_server() as server:
            for at in range(0, len(request), piece_bytes):
                server.sendall(request[at : at + piece_bytes])
            return next(messages(server), b"")

    def _to_server(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS_MAX)

    def _held(self, one: socket.socket) -> _Held:
        return _Held(self, one)


@dataclass
class _Held:
    """A connection that ends with the proxy."""

    proxy: FaultProxy
    one: socket.socket

    def __enter__(self) -> None:
        self.one.settimeout(SECONDS_MAX)
        with self.proxy._lock:
            self.proxy._open.add(self.one)

    def __exit__(self, *error: object) -> None:
        with self.proxy._lock:
            self.proxy._open.discard(self.one)


def messages(source: socket.socket) -> Iterator[bytes]:
    """Yield each whole request or answer, until the other side ends the connection."""
    held = b""
    while True:
        while (end := _end_of(held)) is None:
            piece = source.recv(PIECE_BYTES)
            if not piece:
                return
            held += piece
        yield held[:end]
        held = held[end:]


def _end_of(held: bytes) -> int | None:
    head, blank, _ = held.partition(b"\r\n\r\n")
    if not blank:
        return None
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    end = len(head) + len(blank) + length
    return end if len(held) >= end else None

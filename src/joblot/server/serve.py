"""Running the server: one process, or several that share a socket.

Imported before Django is set up, in the started processes as well.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import uvicorn
from uvicorn.supervisors import Multiprocess

from joblot import local
from joblot.errors import InvalidInput, Unavailable
from joblot.server import asgi

logger = logging.getLogger("joblot.server")

STOP_SECONDS_MAX = 30  # for requests in flight, when asked to stop
SILENT_SECONDS_MAX = 10  # for one of several processes, which may be slow to start
KEEP_ALIVE_SECONDS = 75  # longer than clients do, so that they close it, between calls
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Processes(Multiprocess):
    """Several that share a socket; the first of them starts the others and replaces dead ones.

    `failed` is True after `run` if one could not start, so that all were stopped.
    """

    failed = False

    def keep_subprocess_alive(self) -> None:
        for one in self.processes:  # so that the pipe to a dead one ends, and nobody waits for it
            one.child_conn.close()
        if not self.should_exit.is_set():
            super().keep_subprocess_alive()
            self.failed = self.should_exit.is_set()

    def terminate_all(self) -> None:
        for one in self.sockets:  # so that new connections are refused, and go elsewhere
            one.close()
        super().terminate_all()


def serve(
    host: str,
    port: int,
    *,
    processes: int,
    threads: int,
    on_bound: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 takes a free one; `on_bound` gets the URL.

    From then on, clients can connect; they wait until the processes are up. Raises InvalidInput if
    the address can't be bound, Unavailable if one of several processes can't start, SystemExit(0)
    after a signal.
    """
    os.environ[asgi.THREADS] = str(threads)
    config = uvicorn.Config(
        "joblot.server.asgi:application",
        factory=True,
        host=host,
        port=port,
        workers=processes,
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_worker_healthcheck=SILENT_SECONDS_MAX,
        proxy_headers=False,
    )
    bound = _bind(host, port)
    with _local_socket(bound) as own, _shared_counters(processes):
        on_bound(f"http://{_bracketed(host)}:{bound.getsockname()[1]}")
        for number in STOP_SIGNALS:  # uvicorn has already shut down when it re-raises them
            signal.signal(number, lambda *_: sys.exit(0))
        _run(config, [bound, *own])


def _run(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    if config.workers == 1:
        uvicorn.Server(config).run(sockets=sockets)
        return
    several = Processes(config, sockets=sockets)
    several.run()
    if several.failed:
        raise Unavailable("a process can't start, so all were stopped; the lines above say why")


@contextmanager
def _shared_counters(processes: int) -> Iterator[None]:
    """A folder in which several processes add up what /metrics counts."""
    if processes == 1 or asgi.SHARED_COUNTERS in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="joblot-metrics-") as folder:
        os.environ[asgi.SHARED_COUNTERS] = folder
        try:
            yield
        finally:
            del os.environ[asgi.SHARED_COUNTERS]


@contextmanager
def _local_socket(bound: socket.socket) -> Iterator[list[socket.socket]]:
    """The socket for this user's own programs; if it can't be made, they need TCP and a token."""
    address, port, *_ = bound.getsockname()
    try:
        own, path = local.listen(address, port)
    except (OSError, Unavailable) as error:
        logger.warning("workers on this machine need a token, since there is no socket: %s", error)
        yield []
        return
    try:
        yield [own]
    finally:
        path.unlink(missing_ok=True)


def _bind(host: str, port: int) -> socket.socket:
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, kind, proto, _, address = found[0]
            bound = opened.enter_context(socket.socket(family, kind, proto))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen()
        except OSError as error:
            raise InvalidInput(
                f"{host}:{port} can't be bound: {error.strerror}; choose another with --port"
            ) from error
        bound.set_inheritable(True)
        opened.pop_all()
        return bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

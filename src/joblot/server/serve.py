"""Running the server: one process, or several that share a socket.

Imported before Django is set up, in the processes that are started too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.supervisors import Multiprocess

from joblot.errors import InvalidInput
from joblot.server import asgi

STOP_SECONDS_MAX = 30  # for requests in flight, when asked to stop


class Server(uvicorn.Server):
    """Lets those that wait go as soon as it is told to stop, so that stopping does not wait."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asgi.stop()
        await super().shutdown(sockets)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    host: str,
    port: int,
    *,
    processes: int,
    threads: int,
    on_bound: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 takes a free one; `on_bound` is told the URL.

    Raises InvalidInput if the address can't be bound.
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
        proxy_headers=False,
    )
    bound = _bind(host, port)
    on_bound(f"http://{_bracketed(host)}:{bound.getsockname()[1]}")
    server = Server(config)
    if processes == 1:
        server.run(sockets=[bound])
    else:
        Multiprocess(config, target=server.run, sockets=[bound]).run()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.set_inheritable(True)
        return bound
    except OSError as error:
        raise InvalidInput(
            f"{host}:{port} can't be bound: {error.strerror}; choose another with --port"
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""How a user's own programs reach a `joblot serve` of the same user and machine. Imports no Django.

Nobody is let in for where he comes from: a reverse proxy comes from loopback too. What lets in is
the local token, in a file that only its owner can read: a line that is a whole header, so that
`curl -H @FILE` sends it. It is made once and serves every server of this user.

joblot's own clients send it to a server's Unix socket and never over TCP. A port of loopback may be
listened at by anybody; the socket is in a folder that only its owner can enter, so who answers
there is the owner. The socket asks for a token like every other way in.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from joblot import private
from joblot.errors import Unavailable
from joblot.places import data_folder

ACCEPTED = "JOBLOT_LOCAL_TOKEN_FILE"  # in a server's environment: the file whose token it takes
PREFIX = "joblot_local_"
SOCKET_PATH_BYTES_MAX = 100  # the least that a system allows is 104, with the zero at the end

_SHAPE = re.compile(rf"Authorization: Bearer ({PREFIX}[A-Za-z0-9_-]{{43}})\n")
_ANY = ("0.0.0.0", "::")  # noqa: S104 (addresses that are looked up, not bound)


def token_file() -> Path:
    """Where the local token is. Raises Unavailable without a data folder."""
    return data_folder() / "local.header"


def make_token(*, renew: bool = False) -> Path:
    """The file of the local token, which is made if there is none, or another is wanted.

    Raises Unavailable if the file there is another user's or may have been read by others.
    """
    path = token_file()
    try:
        private.make_folder(path.parent)
        if renew or not path.exists():
            text = f"Authorization: Bearer {PREFIX}{secrets.token_urlsafe(32)}\n"
            private.write_file(path, text.encode())
    except OSError as error:
        raise Unavailable(f"the local token can't be kept in {path}: {error.strerror}") from error
    read_token(path)
    return path


def read_token(path: Path) -> str:
    """The token of the file. Raises Unavailable if it can't be had, or trusted."""
    try:
        found = _SHAPE.fullmatch(private.read_file(path).decode("ascii", "replace"))
    except OSError as error:
        raise Unavailable(f"the local token can't be read: {path}: {error.strerror}") from error
    except Unavailable as error:
        raise Unavailable(
            f"the local token: {error}; replace it: joblot token local --renew"
        ) from error
    if found is None:
        raise Unavailable(
            f"the local token: {path} is not what joblot wrote; replace it: "
            "joblot token local --renew"
        )
    return found[1]


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(url: str) -> bool:
    """True for a URL of this machine's loopback, without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def socket_file(address: str, port: int) -> Path:
    """Where a server that is bound to this address and port has its socket.

    Only one can be bound there, so it may take the place of what a killed one left behind.
    """
    return data_folder() / "servers" / f"{port}-{address}.sock"


def find_socket(url: str) -> Path | None:
    """The socket of a server of ours that serves the local URL; None if there is none.

    Raises Unavailable if others can enter its folder.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    addresses = ("127.0.0.1", "::1") if host == "localhost" else (str(ipaddress.ip_address(host)),)
    for address in (*addresses, *_ANY):
        path = socket_file(address, parts.port or 80)
        if path.exists():
            private.require_folder(path.parent)
            return path
    return None


def listen(address: str, port: int) -> tuple[socket.socket, Path]:
    """A socket for the server that has bound this address; the caller unlinks it at the end.

    Raises Unavailable, OSError.
    """
    path = socket_file(address, port)
    private.require_folder(private.make_folder(path.parent))
    path.unlink(missing_ok=True)
    with ExitStack() as held:
        bound = held.enter_context(socket.socket(socket.AF_UNIX))
        bound.bind(short(path, held))
        path.chmod(private.FILE)
        bound.listen()
        bound.set_inheritable(True)
        held.pop_all()
        return bound, path


def short(path: Path, held: ExitStack) -> str:
    """The path as a socket's; one that is too long for that leads through a descriptor of its
    folder, where there is /proc, as long as `held` is open.
    """
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return str(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, folder)
    return f"/proc/self/fd/{folder}/{path.name}"

"""How a user's own programs reach a `joblot serve` of the same user and machine. Imports no Django.

The peer's address grants no access: a reverse proxy connects from loopback too. Access is granted
by the local token, in a file that only its owner can read. The file holds one line, a complete
header, so that `curl -H @FILE` sends it. It is made once and is valid for all servers of this user.

joblot's own clients send the token to a server's Unix socket and never over TCP. Any user may
listen on a loopback port; the socket is in a folder that only its owner can enter, so the server
behind it is the owner's. Requests through the socket need a token like all others.
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

ACCEPTED = "JOBLOT_LOCAL_TOKEN_FILE"  # in a server's environment: the file whose token it accepts
PREFIX = "joblot_local_"
SOCKET_PATH_BYTES_MAX = 100  # the lowest limit of a system is 104, including the final zero

_SHAPE = re.compile(rf"Authorization: Bearer ({PREFIX}[A-Za-z0-9_-]{{43}})\n")
_ANY = ("0.0.0.0", "::")  # noqa: S104 (addresses that are looked up, not bound)


def token_file() -> Path:
    """The file of the local token. Raises Unavailable without a data folder."""
    return data_folder() / "local.header"


def make_token(*, renew: bool = False) -> Path:
    """The file of the local token, which is made if it is missing, or if `renew`.

    Raises Unavailable if the file belongs to another user or others may have read it.
    """
    path = token_file()
    try:
        private.make_folder(path.parent)
        if renew or not path.exists():
            text = f"Authorization: Bearer {PREFIX}{secrets.token_urlsafe(32)}\n"
            private.write_file(path, text.encode())
    except OSError as error:
        raise Unavailable(f"the local token can't be stored in {path}: {error.strerror}") from error
    read_token(path)
    return path


def read_token(path: Path) -> str:
    """The token in the file. Raises Unavailable if it can't be read, or can't be trusted."""
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
    """The socket of a server that is bound to this address and port.

    Only one server can be bound there, so it may replace the socket of one that was killed.
    """
    return data_folder() / "servers" / f"{port}-{address}.sock"


def find_socket(url: str) -> Path | None:
    """The socket of this user's server that serves the local URL; None if there is none.

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


def servers() -> list[str]:
    """The local URLs of this user's servers that are running. Raises Unavailable."""
    folder = data_folder() / "servers"
    if not folder.exists():
        return []
    private.require_folder(folder)
    found = [path for path in sorted(folder.glob("*.sock")) if _answers(path)]
    return [_url_of(*path.stem.split("-", 1)) for path in found]


def _url_of(port: str, address: str) -> str:
    host = "127.0.0.1" if address in _ANY else address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _answers(path: Path) -> bool:
    """False for the socket of a server that was killed."""
    with ExitStack() as held, socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(short(path, held))
        except OSError:
            return False
    return True


def listen(address: str, port: int) -> tuple[socket.socket, Path]:
    """A Unix socket for the server that has bound this address; the caller unlinks it at the end.

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
    """The path as a socket address. A path that is too long is replaced by one through a descriptor
    of its folder, valid while `held` is open, on systems with /proc.
    """
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return str(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, folder)
    return f"/proc/self/fd/{folder}/{path.name}"

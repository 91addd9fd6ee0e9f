"""Which workers of this machine are alive.

Each holds a lock on a file of its own for as long as its process lives, however it ends: the
kernel lets go of it, also when the machine does. So nobody takes a new process with an old
number for the dead one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from joblot import private
from joblot.errors import Unavailable
from joblot.places import data_folder

_SEPARATOR = "/"


def new_name() -> str:
    """A worker's name, never used before: host/random."""
    return f"{socket.gethostname()[:100]}{_SEPARATOR}{uuid4().hex[:12]}"


@contextlib.contextmanager
def held(name: str) -> Iterator[int]:
    """The worker's file, locked: a process that inherits this descriptor keeps the lock."""
    path = _path(name)
    private.make_folder(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_dead(name: str) -> bool:
    """True only if it is known: a worker of another machine or user is not."""
    host, _, _ = name.partition(_SEPARATOR)
    if host != socket.gethostname()[:100]:
        return False
    try:
        descriptor = os.open(_path(name), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def forget(name: str) -> None:
    """The worker is dead and its leases are ended; its file is of no more use."""
    with contextlib.suppress(OSError):
        _path(name).unlink()


def _folder() -> Path:
    """Without a data folder a temporary one: the locks need to last as long as the machine runs."""
    try:
        return data_folder() / "workers"
    except Unavailable:
        folder = private.make_folder(Path(tempfile.gettempdir()) / f"joblot-{os.geteuid()}")
        private.require_folder(folder)
        return folder / "workers"


def _path(name: str) -> Path:
    return _folder() / name.partition(_SEPARATOR)[2].replace(_SEPARATOR, "_")

"""Which workers of this machine are alive.

Each worker holds a lock on its own file for the lifetime of its process. The kernel releases the
lock however the process ends, also if the machine crashes. So a process that reuses the pid of a
dead worker is never mistaken for it.
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

from joblot import file_system, private
from joblot.errors import Unavailable
from joblot.places import data_folder

_SEPARATOR = "/"


def new_name() -> str:
    """Return a new, unique worker name: host/random."""
    return f"{socket.gethostname()[:100]}{_SEPARATOR}{uuid4().hex[:12]}"


@contextlib.contextmanager
def held(name: str) -> Iterator[int]:
    """Lock the worker's file; a process that inherits this descriptor keeps the lock."""
    path = _path(name)
    private.make_folder(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        private.lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def is_dead(name: str) -> bool:
    """True only if the worker is known to be dead; never for another machine's or user's.

    A machine may have changed its name, as a container does: then the worker's file says that it
    was here, unless the file is on a network, where others may have made it.
    """
    host, _, _ = name.partition(_SEPARATOR)
    path = _path(name)
    if host != socket.gethostname()[:100] and file_system.is_shared(path):
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or there are no locks
        return False
    finally:
        os.close(descriptor)
    return True


def forget(name: str) -> None:
    """Delete the file of a worker that is dead and whose leases have ended."""
    with contextlib.suppress(OSError):
        _path(name).unlink()


def _folder() -> Path:
    """Without a data folder, a temporary one: locks only need to last until the next reboot."""
    try:
        return data_folder() / "workers"
    except Unavailable:
        folder = private.make_folder(Path(tempfile.gettempdir()) / f"joblot-{os.geteuid()}")
        private.require_folder(folder)
        return folder / "workers"


def _path(name: str) -> Path:
    return _folder() / name.partition(_SEPARATOR)[2].replace(_SEPARATOR, "_")

"""Files and folders that only their owner may enter, read or write, whatever the umask.

The mode is passed to the system call that creates them, so they are never wider, even briefly.
Existing ones keep their mode: `joblot doctor` reports those that are wider.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joblot import file_system
from joblot.errors import Unavailable

FILE = 0o600
FOLDER = 0o700
OTHERS = 0o077  # the permission bits of all other users


def make_folder(path: Path) -> Path:
    """Make the folder and its missing parents. Raises OSError."""
    missing = [path]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(FOLDER, exist_ok=True)
    return path


def make_file(path: Path) -> bool:
    """Make an empty file; False if the file exists. Raises OSError."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE))
    except FileExistsError:
        return False
    return True


def write_file(path: Path, content: bytes) -> None:
    """Write the file, atomically replacing any existing one. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_file(path: Path) -> bytes:
    """The content of a file that only this user can have written or read.

    Raises Unavailable if it belongs to another user or others may open it; OSError, also for a
    symbolic link.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _require_ours(path, os.fstat(descriptor))
        return file.read()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait for a lock between processes of this machine, on a file that is made if missing.

    The kernel releases it when its holder ends, however it ends.
    """
    make_file(path)
    with path.open("r+") as file:
        lock(file.fileno(), path)
        yield


def lock(descriptor: int, path: Path) -> None:
    """Wait for the lock of an open file. Raises Unavailable if its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise Unavailable(
            f"{path} can't be locked ({error.strerror}): it is on {file_system.of(path).kind}; "
            "name a database on a local disk with --db, and set XDG_DATA_HOME to a folder there"
        ) from error


def require_folder(path: Path) -> None:
    """Raises Unavailable unless it is this user's folder and only they can enter it; OSError."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{path}: expected a folder")
    _require_ours(path, found)


def is_wide(path: Path) -> bool:
    """True if the path exists and others may enter, read or write it."""
    try:
        return bool(path.stat().st_mode & OTHERS)
    except FileNotFoundError:
        return False


def _require_ours(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise Unavailable(f"{path} belongs to user {found.st_uid}, expected {os.geteuid()}")
    if found.st_mode & OTHERS:
        expected = FOLDER if stat.S_ISDIR(found.st_mode) else FILE
        raise Unavailable(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, expected {expected:04o}: others "
            "may have read or changed it"
        )

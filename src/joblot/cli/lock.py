"""A lock on a file, for what one process of this machine may do at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joblot import private


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait for the lock; the kernel frees it when its holder ends, however it ends."""
    private.make_file(path)
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

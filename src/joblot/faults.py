"""Named points at which a test may stop, kill or fail the code. No-ops in production."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Threads: armed by tests only; a single look-up in a dict that is never iterated.
_armed: dict[str, Callable[[], None]] = {}


def point(name: str) -> None:
    """A point at which a fault may occur; a test that has armed `name` decides which."""
    if _armed and (action := _armed.get(name)):
        action()


@contextmanager
def armed(name: str, action: Callable[[], None]) -> Iterator[None]:
    """For tests: inside the block, passing the point `name` runs `action`, in any thread."""
    _armed[name] = action
    try:
        yield
    finally:
        del _armed[name]

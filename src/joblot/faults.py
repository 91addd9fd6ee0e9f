"""Named points at which a test may stop, kill or fail the code. In production they do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Threads: armed by tests only; one look-up, of a dict that nobody iterates.
_armed: dict[str, Callable[[], None]] = {}


def point(name: str) -> None:
    """A point where something may go wrong; a test that has armed `name` decides what."""
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

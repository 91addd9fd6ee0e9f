"""Whether a call of this thread's function has run out of memory.

Its process may be left with damaged state or fragmented memory, so it is replaced, also if the call
was repeated with success.
"""

from __future__ import annotations

import threading

from joblot.worker.causes import leaves_of

# Threads: each has its own.
_of_thread = threading.local()


def note(error: BaseException) -> None:
    """Remember a MemoryError, also inside a group and of a derived class, as NumPy has one."""
    if any(issubclass(type(leaf), MemoryError) for leaf in leaves_of(error)):
        _of_thread.met = True


def forget() -> bool:
    """Whether there was one since the last call."""
    met: bool = getattr(_of_thread, "met", False)
    _of_thread.met = False
    return met

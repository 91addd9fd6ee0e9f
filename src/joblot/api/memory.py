"""Releasing the memory that a large body took, as soon as its request is answered.

An error and its traceback form a cycle, which Python would collect some time later; and the
allocator keeps the memory that a thread freed for the same thread's next request.
"""

from __future__ import annotations

import ctypes
import gc
import threading

LARGE_BYTES = 1_048_576

_this = threading.local()  # Threads: each has its own
_libc = ctypes.CDLL(None)


def takes(size: int) -> None:
    """This thread's request is about to parse `size` bytes."""
    if size >= LARGE_BYTES:
        _this.is_large = True


def give_back() -> None:
    """This thread's request has been answered. Takes some milliseconds, if it was large."""
    if not getattr(_this, "is_large", False):
        return
    _this.is_large = False
    gc.collect()
    if hasattr(_libc, "malloc_trim"):  # glibc's
        _libc.malloc_trim(0)

"""Flushes what a process's code has written, but what is not yet in the process's output."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial


def flush_output() -> None:
    """Flush Python's streams, which a function may have closed or replaced, and C's `stdout`."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    _flush_c()


def _c_stdout_flush() -> Callable[[], object]:
    """C's `fflush(stdout)`, needed because C buffers a pipe; does nothing where it is not found."""
    for name in ("stdout", "__stdoutp"):  # the latter on macOS
        with suppress(OSError, ValueError, AttributeError):
            library = ctypes.CDLL(None)
            return partial(library.fflush, ctypes.c_void_p.in_dll(library, name))
    return lambda: None


_flush_c = _c_stdout_flush()

"""What an item prints, kept with it: as lines of the job's log that are about the item.

Only the end of long output is kept, and the log of a job is bounded. The caller decides how the
lines get into the log. This includes what C code and the programs that a function starts write to
the process's output before the call ends.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial

from joblot.wire import ClaimedItem, GrantedLease, Result
from joblot.worker.current import lease
from joblot.worker.function import Work
from joblot.worker.output_tail import OutputTail

Put = Callable[[GrantedLease, int, str], object]  # a lease, an item of it, its output


class Keep(StrEnum):
    """The items whose output is kept."""

    FAILED = "failed"
    ALL = "all"
    NONE = "none"


class Printed:
    """Keeps what the calls of this process print; of a batch, with its first item."""

    def __init__(self, keep: Keep, put: Put, output: OutputTail) -> None:
        self._keep = keep
        self._put = put
        self._output = output

    def kept(self, work: Work) -> Work:
        if self._keep is Keep.NONE:
            return work

        def keeping(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
            working = work(items)
            while True:
                _flush()
                self._output.begin()
                results = next(working, None)
                if results is None:
                    return
                self._note(results)
                yield results

        return keeping

    def _note(self, results: Sequence[Result]) -> None:
        chosen = [one for one in results if self._keep is Keep.ALL or not one.succeeded]
        if not chosen:
            return
        _flush()
        text = self._output.item_output().decode(errors="replace").strip("\n")
        if text:
            self._put(lease(), chosen[0].item, text)


def _flush() -> None:
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

"""What an item prints, kept with it: as lines of the job's log that are about the item.

Only the end of long output is kept, and the log of a job is bounded. The caller decides how the
lines get into the log. Output of C code and other programs, which bypasses `sys.stdout` and
`sys.stderr`, is passed on, but not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum

from joblot.wire import ClaimedItem, GrantedLease, Result
from joblot.worker.current import lease
from joblot.worker.function import Work
from joblot.worker.supervised import copy_output

BYTES_MAX = 4_000  # of one item

Put = Callable[[GrantedLease, int, str], object]  # a lease, an item of it, its output


class Keep(StrEnum):
    """The items whose output is kept."""

    FAILED = "failed"
    ALL = "all"
    NONE = "none"


class Printed:
    """Keeps what the calls of this process print; of a batch, with its first item."""

    def __init__(self, keep: Keep, put: Put) -> None:
        self._keep = keep
        self._put = put
        self._last = b""  # what was printed last. Threads: replaced as a whole, and never locked

    def kept(self, work: Work) -> Work:
        if self._keep is Keep.NONE:
            return work
        copy_output(self.take)

        def keeping(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
            working = work(items)
            while True:
                self._begin()
                results = next(working, None)
                if results is None:
                    return
                self._note(results)
                yield results

        return keeping

    def take(self, piece: bytes) -> None:
        """Called by each thread that prints. Of two at the same moment, one piece may be lost."""
        self._last = (self._last + piece[-BYTES_MAX:])[-BYTES_MAX:]

    def _begin(self) -> None:
        _flush()
        self._last = b""

    def _note(self, results: Sequence[Result]) -> None:
        chosen = [one for one in results if self._keep is Keep.ALL or not one.succeeded]
        if not chosen:
            return
        _flush()
        text = self._last.decode(errors="replace").strip("\n")
        if text:
            self._put(lease(), chosen[0].item, text)


def _flush() -> None:
    """A function may have closed the streams, or put something else in their place."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()

"""Replaces a worker process between two calls: after a number of items, above a size in memory, or
after a MemoryError.

The process drains: it reports what it has computed and gives back the other items, at no cost to
their budgets. Its supervisor then starts another.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from joblot.wire import ClaimedItem, Result
from joblot.worker import exhausted
from joblot.worker.function import Work

STATM = Path("/proc/self/statm")
MIB = 1_048_576
OUT_OF_MEMORY = "its function ran out of memory"


@dataclass(frozen=True, slots=True)
class Recycling:
    """After how many items, and above how many MiB; 0: never."""

    items: int = 0
    mb: int = 0


class Recycler:
    """Watches the work of one process; `due` is called, with the reason, once it must be replaced.

    Set `due` before the work begins.
    """

    def __init__(self, recycling: Recycling) -> None:
        self._recycling = recycling
        self._done = 0
        self.due: Callable[[str], object] = lambda _: None

    def watched(self, work: Work) -> Work:
        def watched(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
            exhausted.forget()  # it may be of another worker that this thread has had
            for results in work(items):
                self._done += len(results)
                yield results
            if why := self._why():
                self.due(why)

        return watched

    def _why(self) -> str:
        if exhausted.forget():
            return OUT_OF_MEMORY
        if 0 < self._recycling.items <= self._done:
            return f"it has processed {self._done} items"
        if self._recycling.mb and (mb := resident_bytes() // MIB) > self._recycling.mb:
            return f"it occupies {mb} MiB"
        return ""


def resident_bytes() -> int:
    """The memory of this process; where that is unknown, the most it has had."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

"""A job's progress: live bars on a terminal, plain lines elsewhere. It goes to standard error."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from joblot.cli.pace import Pace, duration
from joblot.cli.printable import say_aside
from joblot.cli.stages import note
from joblot.cli.terminal import console, is_terminal
from joblot.sentences import settled_of

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal


class Progress(Protocol):
    """Shows jobs as returned by the ledger's `progress`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self, job: dict[str, Any]) -> None: ...


def progress_display(*, quiet: bool = False) -> Progress:
    """A context manager that fits standard error; with `quiet`, it shows nothing."""
    if quiet:
        return PlainLines(seconds=math.inf)
    if not is_terminal(sys.stderr):
        return PlainLines()
    from joblot.cli.bars import LiveBars  # noqa: PLC0415 (Rich is slow to load)

    return LiveBars(console(sys.stderr))


class PlainLines:
    """A line per stage, now and then."""

    def __init__(self, seconds: float = PLAIN_SECONDS) -> None:
        self._seconds = seconds
        self._printed_at = time.monotonic()
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def update(self, job: dict[str, Any]) -> None:
        now, rate = time.monotonic(), self._pace.rate(job)
        if now - self._printed_at < self._seconds:
            return
        self._printed_at = now
        for line in plain_lines(job, rate):
            say_aside(line)


def plain_lines(job: dict[str, Any], rate: float | None) -> Iterator[str]:
    """`count: 1,200 of 5,000, 3 failed`, for each stage; the last line has the pace."""
    pace = [] if rate is None else [f"{rate:,.1f} items/s"]
    pace += [f"done in about {duration(job['eta']['p50'])}"] if job["eta"] else []
    for stage in job["stages"]:
        of = f"{stage['name']}: {settled_of(stage):,} of {stage['total']:,}"
        unusual = note(job, stage)
        last = pace if stage is job["stages"][-1] else []
        yield ", ".join([of, *([unusual] if unusual else []), *last])

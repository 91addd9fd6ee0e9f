"""A job's progress: live bars on a terminal, plain lines elsewhere. It goes to standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

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


def progress_display() -> Progress:
    """A context manager that fits standard error."""
    if not is_terminal(sys.stderr):
        return PlainLines()
    from joblot.cli.bars import LiveBars  # noqa: PLC0415 (Rich is slow to load)

    return LiveBars(console(sys.stderr))


class PlainLines:
    """A line per stage, now and then."""

    def __init__(self) -> None:
        self._printed_at = time.monotonic()

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
        now = time.monotonic()
        if now - self._printed_at < PLAIN_SECONDS:
            return
        self._printed_at = now
        for stage in job["stages"]:
            of = f"{settled_of(stage):,} of {stage['total']:,}"
            say_aside(f"{stage['name']}: {of} {note(job, stage)}".rstrip())

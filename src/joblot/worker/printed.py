"""What an item prints, kept with it: as lines of the job's log that are about the item.

Only the end of long output is kept, and the log of a job is bounded. The caller decides how the
lines get into the log. In a process with a supervisor, what is kept includes what C code and the
programs that a function starts write before the call ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Protocol, Self

from joblot.errors import InvalidInput
from joblot.wire import ClaimedItem, GrantedLease, Result
from joblot.worker.current import lease
from joblot.worker.function import Work
from joblot.worker.handlers import Handler
from joblot.worker.stream_tail import StreamTail

Put = Callable[[GrantedLease, int, str], object]  # a lease, an item of it, its output


class Keep(StrEnum):
    """The items whose output is kept."""

    FAILED = "failed"
    ALL = "all"
    NONE = "none"

    @classmethod
    def of(cls, given: str) -> Self:
        """Raises InvalidInput."""
        try:
            return cls(given)
        except ValueError:
            known = ", ".join(cls)
            raise InvalidInput(f"keep_output: expected one of {known}, got {given!r}") from None


class ItemOutput(Protocol):
    """What the current call has written: an OutputTail, or a StreamTail."""

    def begin(self) -> None: ...

    def item_output(self) -> bytes: ...

    def end(self) -> None: ...


class Printed:
    """Keeps what the calls of this process print; of a batch, with its first item."""

    def __init__(self, keep: Keep, put: Put, output: ItemOutput) -> None:
        self._keep = keep
        self._put = put
        self._output = output

    def kept(self, work: Work) -> Work:
        if self._keep is Keep.NONE:
            return work

        def keeping(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
            working, current = work(items), lease()
            try:
                while True:
                    self._output.begin()
                    results = next(working, None)
                    if results is None:
                        return
                    self._note(current, results)
                    yield results
            finally:
                self._output.end()

        return keeping

    def _note(self, current: GrantedLease, results: Sequence[Result]) -> None:
        chosen = [one for one in results if self._keep is Keep.ALL or not one.succeeded]
        if not chosen:
            return
        text = self._output.item_output().decode(errors="replace").strip("\n")
        if text:
            self._put(current, chosen[0].item, text)


@contextmanager
def keeping(
    handlers: Sequence[Handler], keep: Keep, put: Put, output: ItemOutput | None = None
) -> Iterator[Sequence[Handler]]:
    """The handlers, whose items' output is kept, within the block.

    Without an `output`, which a supervisor reads, it is what passes through Python's streams.
    """
    if keep is Keep.NONE:
        yield handlers
    elif output is None:
        with StreamTail() as streams:
            yield _kept(handlers, Printed(keep, put, streams))
    else:
        yield _kept(handlers, Printed(keep, put, output))


def _kept(handlers: Sequence[Handler], printed: Printed) -> list[Handler]:
    return [replace(one, work=printed.kept(one.work)) for one in handlers]

"""The outputs of a run (`--out`) while it goes on: a file that grows, or a stream in order."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO

from joblot.cli import out as out_file
from joblot.cli import verbs
from joblot.cli.records.ended import Ended
from joblot.cli.records.numbers import Numbers
from joblot.cli.records.recorder import Record
from joblot.cli.terminal import is_terminal

PAGE = 1_000  # items whose outputs are read at once
LOOK_SECONDS = 1.0  # between two looks for what other runs and machines have settled


def growing(job_id: int, out: str) -> Record:
    """The record of these outputs, as it fits what `out` names."""
    if out_file.is_file(out):
        return GrowingFile(job_id, out)
    return InOrder(job_id, out, held=_disturbs(out))


def _disturbs(out: str) -> bool:
    """True if lines would be printed into the live bars."""
    return out == out_file.STDOUT and sys.stdout.isatty() and is_terminal(sys.stderr)


class GrowingFile:
    """A `Record`: a file with each output as soon as it is counted, in any order.

    It begins with the outputs of earlier runs, and holds none twice, whenever the run ends. When
    the job has ended, `out.write` replaces it.
    """

    def __init__(self, job_id: int, out: str) -> None:
        self._job = job_id
        self._out = out
        self._written = Numbers()
        self._pending: list[int] = []
        self._file: IO[str] | None = None

    def begin(self) -> None:
        with (
            out_file.as_unavailable(self._job, self._out),
            out_file.replacing(self._out) as self._file,
        ):
            for numbers in pages(range(verbs.progress(self._job)["total"])):
                self._write(numbers)
            self._file.flush()

    def take(self, endings: Sequence[Ended]) -> None:
        self._pending += [one.item for one in endings if one.succeeded and one.settles]

    def grow(self) -> None:
        assert self._file is not None
        with out_file.as_unavailable(self._job, self._out):
            while self._pending:
                page = self._pending[:PAGE]
                self._write(page)
                del self._pending[: len(page)]
            self._file.flush()

    def end(self, *, finished: bool) -> None:
        assert self._file is not None
        with self._file:
            self.grow()

    def _write(self, numbers: Sequence[int]) -> None:
        assert self._file is not None
        for number, key, output in verbs.outputs_among(self._job, numbers):
            if self._written.add(number):
                self._file.write(out_file.line_of(self._out, key, output))


class InOrder:
    """A `Record`: outputs in the order of the items, each once all before it are settled.

    A failed item that succeeds later comes at the end. `held`: everything comes at the end.
    """

    def __init__(self, job_id: int, out: str, *, held: bool = False) -> None:
        self._job = job_id
        self._out = out
        self._held = held
        self._stdout = sys.stdout  # before a live display replaces it
        self._stream: IO[str] = self._stdout
        self._files = ExitStack()
        self._next = 0
        self._passed_over = array("q")
        self._looked_at = 0.0
        self._news = True

    def begin(self) -> None:
        if self._out != out_file.STDOUT:
            with out_file.as_unavailable(self._job, self._out):
                self._stream = self._files.enter_context(out_file.stream(self._out))

    def take(self, endings: Sequence[Ended]) -> None:
        self._news = True

    def grow(self) -> None:
        now = time.monotonic()
        if self._held or not (self._news or now - self._looked_at > LOOK_SECONDS):
            return
        self._news, self._looked_at = False, now
        self._write_until(self._first_open())

    def end(self, *, finished: bool) -> None:
        with out_file.as_unavailable(self._job, self._out), self._files:
            if not finished:
                self._write_until(self._first_open())
                return
            late, self._passed_over = self._passed_over, array("q")
            self._write_until(verbs.progress(self._job)["total"])
            for numbers in pages(late):
                for _, key, output in verbs.outputs_among(self._job, numbers):
                    self._stream.write(out_file.line_of(self._out, key, output))
            self._stream.flush()

    def _first_open(self) -> int:
        """No item before this one is open."""
        total: int = verbs.progress(self._job)["total"]  # first: items are added meanwhile
        page = verbs.items(self._job, state="open", after=self._next - 1, limit=1)
        if page:
            return min(total, int(page[0]["id"]))
        return total if page.next is None else min(total, page.next + 1)

    def _write_until(self, end: int) -> None:
        with out_file.as_unavailable(self._job, self._out):
            for numbers in pages(range(self._next, end)):
                for number, key, output in verbs.outputs_among(self._job, numbers):
                    self._stream.write(out_file.line_of(self._out, key, output))
                    self._pass_to(number)
                    self._next = number + 1
                self._pass_to(numbers[-1] + 1)
                self._stream.flush()

    def _pass_to(self, number: int) -> None:
        """The items before this one, which are settled, have no output yet."""
        self._passed_over.extend(range(self._next, number))
        self._next = max(self._next, number)


def pages(numbers: Iterable[int]) -> Iterator[list[int]]:
    page: list[int] = []
    for number in numbers:
        page.append(number)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page

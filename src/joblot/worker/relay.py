"""A standard error that never fails and never blocks: no item may fail for lack of a reader.

A write fails with EIO on a closed terminal, EPIPE on a pipe whose reader has ended, ENOSPC on a
full disk, and blocks on a pipe whose reader does nothing. What can't be written is dropped.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from joblot.worker.output_tail import OutputTail

WAITING_BYTES_MAX = 4_194_304  # beyond this, output is dropped
END_SECONDS_MAX = 2.0  # for the output that is left at the end
LINE_BYTES_MAX = 65_536  # a longer one is passed on in parts


class Relay(io.RawIOBase):
    """A file whose writes are done by its own thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._isatty = os.isatty(descriptor)  # at the beginning: the terminal may go away
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="joblot-relay", daemon=True).start()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._isatty

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        piece = bytes(data)
        with self._changed:
            if self._bytes + len(piece) > WAITING_BYTES_MAX:
                self._dropped += len(piece)
            else:
                self._add(piece)
        return len(piece)

    def wait(self, seconds_max: float) -> None:
        """Wait until everything is written or dropped, for at most `seconds_max`."""
        deadline = time.monotonic() + seconds_max
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, deadline - time.monotonic())

    def _add(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._bytes += len(piece)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                piece = self._waiting.popleft()
            _write(self._descriptor, piece)
            with self._changed:
                self._bytes -= len(piece)
                if self._dropped and not self._waiting:
                    self._add(f"({self._dropped} bytes of output were not read)\n".encode())
                    self._dropped = 0
                self._changed.notify_all()


def _write(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            writable = select.poll()  # unlike `select.select`, for descriptors above 1,023
            writable.register(descriptor, select.POLLOUT)
            writable.poll()
        except OSError:
            return


@contextmanager
def relayed() -> Iterator[None]:
    """Replace `sys.stderr` with a Relay."""
    before = sys.stderr
    relay = Relay(2)
    sys.stderr = io.TextIOWrapper(
        relay, encoding=before.encoding, errors="backslashreplace", write_through=True
    )
    try:
        yield
    finally:
        relay.wait(END_SECONDS_MAX)
        sys.stderr = before


def pass_on(output: OutputTail) -> None:
    """Copy what a process writes to `sys.stderr`, in whole lines, until the end."""
    rest = b""
    try:
        while piece := output.read():
            lines, newline, rest = (rest + piece).rpartition(b"\n")
            _pass_lines(lines + newline)
            if len(rest) > LINE_BYTES_MAX:
                _pass_lines(rest + b"\n")
                rest = b""
    finally:
        output.close()
    if rest:
        _pass_lines(rest + b"\n")


_passing = threading.Lock()  # a live display joins what several threads write


def _pass_lines(lines: bytes) -> None:
    if lines:
        with _passing:
            sys.stderr.write(lines.decode(sys.stderr.encoding or "utf-8", errors="replace"))

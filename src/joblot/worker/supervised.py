"""A child process, from the inside: its supervisor's orders, and what it answers.

Orders are lines of JSON on standard input: first the descriptors it shares with its supervisor,
then what it is to do. They end when the supervisor says so, or is gone.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, Self


class Supervised:
    """Call `begin` before anything of the user's is imported."""

    def __init__(self, orders: IO[str], answers: int, output: int, **shared: int) -> None:
        self._orders = orders
        self._answers = os.fdopen(answers, "w", buffering=1)
        self._output = output
        self.shared = shared  # by the watch of its supervisor
        for descriptor in (answers, output, *shared.values()):
            os.set_inheritable(descriptor, False)

    @classmethod
    def begin(cls) -> Self:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a KeyboardInterrupt is then the module's own
        sys.stdout, sys.stderr = _writing(1), _writing(2)
        orders = _take_stdin()
        one = cls(orders, **json.loads(orders.readline()))
        threading.Thread(target=one._survive, name="joblot-output", daemon=True).start()
        return one

    def order(self) -> dict[str, Any] | None:
        """The next one; None if none will come."""
        line = self._orders.readline()
        return json.loads(line) if line else None

    def answer(self, **answer: object) -> None:
        """A supervisor that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._answers.write(json.dumps(answer) + "\n")

    def orders_ended(self, seconds: float = 0.0) -> bool:
        """True if no more orders come; waits up to `seconds`. One that was not read counts, too."""
        more = select.poll()
        more.register(self._orders.fileno(), select.POLLIN)
        return bool(more.poll(seconds * 1_000))

    def when_orders_end(self, call: Callable[[], object]) -> None:
        """Call it from another thread then. No order can be read from now on."""

        def read() -> None:
            self._orders.read()
            call()

        threading.Thread(target=read, name="joblot-orders", daemon=True).start()

    def _survive(self) -> None:
        """Read what this process writes, once nobody else does.

        Its output is a pipe that its supervisor reads. This end of it is kept open, so that a
        write never fails, and is read when the supervisor is gone, so that none waits for ever.
        """
        gone = select.poll()
        gone.register(self._answers.fileno(), 0)
        gone.poll()
        while os.read(self._output, 65_536):
            pass


class _StaysOpen(io.BufferedWriter):
    """A call that closes `sys.stdout`, or its buffer, does not close it for the calls after it."""

    def close(self) -> None:
        self.flush()


def _writing(descriptor: int) -> IO[str]:
    binary = _StaysOpen(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(binary, line_buffering=True, errors="backslashreplace")


def _take_stdin() -> IO[str]:
    """The orders, on a descriptor of their own: the function may do with stdin what it likes."""
    orders = os.fdopen(os.dup(0), "r")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders

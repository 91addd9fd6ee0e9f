"""A child process, from the inside: its supervisor's orders, and its answers.

Orders are lines of JSON on standard input: first the descriptors it shares with its supervisor,
then what it is to do. The orders end when the supervisor ends them, or is gone.
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

from joblot.worker.output_tail import OutputTail


class Supervised:
    """Call `begin` before importing any user code."""

    def __init__(
        self, orders: IO[str], answers: int, output: int, tail: int, **shared: int
    ) -> None:
        self._orders = orders
        self._answers = os.fdopen(answers, "w", buffering=1)
        self.output = OutputTail(tail, output)
        self.shared = shared  # descriptors, by the supervisor's watch
        os.close(tail)
        for descriptor in (answers, output, *shared.values()):
            os.set_inheritable(descriptor, False)

    @classmethod
    def begin(cls) -> Self:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a KeyboardInterrupt is then the user code's
        sys.stdout, sys.stderr = _writing(1), _writing(2)
        orders = _take_stdin()
        one = cls(orders, **json.loads(orders.readline()))
        threading.Thread(target=one._survive, name="joblot-output", daemon=True).start()
        return one

    def order(self) -> dict[str, Any] | None:
        """The next order; None if there are no more."""
        line = self._orders.readline()
        return json.loads(line) if line else None

    def answer(self, **answer: object) -> None:
        """Send an answer; does nothing if the supervisor is gone."""
        with contextlib.suppress(OSError):
            self._answers.write(json.dumps(answer) + "\n")

    def orders_ended(self, seconds: float = 0.0) -> bool:
        """True if the orders have ended, or one is unread; waits for that for up to `seconds`."""
        more = select.poll()
        more.register(self._orders.fileno(), select.POLLIN)
        return bool(more.poll(seconds * 1_000))

    def when_orders_end(self, call: Callable[[], object]) -> None:
        """Run `call` in another thread when they end. No order can be read from now on."""

        def read() -> None:
            self._orders.read()
            call()

        threading.Thread(target=read, name="joblot-orders", daemon=True).start()

    def _survive(self) -> None:
        """Read this process's output once its supervisor no longer does.

        The output is a pipe. Its read end is kept open here, so that a write never fails, and is
        read when the supervisor is gone, so that no write blocks forever.
        """
        gone = select.poll()
        gone.register(self._answers.fileno(), 0)
        gone.poll()
        while self.output.read():
            pass


class _StaysOpen(io.BufferedWriter):
    """A call that closes `sys.stdout`, or its buffer, does not close it for later calls."""

    def close(self) -> None:
        self.flush()


def _writing(descriptor: int) -> IO[str]:
    binary = _StaysOpen(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(binary, line_buffering=True, errors="backslashreplace")


def _take_stdin() -> IO[str]:
    """Move the orders to their own descriptor: the function may use stdin as it likes."""
    orders = os.fdopen(os.dup(0), "r")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders

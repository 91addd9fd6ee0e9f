"""A worker process, from the inside: its supervisor's orders, and what it answers.

Orders are lines of JSON on standard input: first the descriptors it shares with its supervisor,
then what it is to do. When they end, because the supervisor says so or is gone, it drains.
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
from typing import IO, Any, Self

from joblot.worker.ending import drain_on_signals
from joblot.worker.loop import Worker
from joblot.worker.pulse import Pulse


class Supervised:
    """Call `begin` before anything of the user's is imported."""

    def __init__(self, orders: IO[str], answers: int, pulse: int, output: int) -> None:
        self._orders = orders
        self._answers = os.fdopen(answers, "w", buffering=1)
        self._output = output
        self.pulse = Pulse(pulse)
        for descriptor in (answers, pulse, output):
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

    def follow(self, worker: Worker) -> None:
        """Drain at a signal, and when the orders end."""
        drain_on_signals(worker)

        def read() -> None:
            self._orders.read()
            worker.drain()

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

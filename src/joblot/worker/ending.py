"""How a worker process is told to end: by a signal, or because its orders do."""

from __future__ import annotations

import os
import signal
import threading
from typing import IO

from joblot.worker.loop import Worker

FROZEN_EXIT = 75  # a call took longer than item_seconds_max


def drain_on_signals(worker: Worker) -> None:
    """At SIGTERM and SIGINT; does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.drain())


def take_stdin() -> IO[str]:
    """The orders, on a descriptor of their own: the function may do with stdin what it likes."""
    orders = os.fdopen(os.dup(0), "r")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def drain_at_end(orders: IO[str], worker: Worker) -> None:
    """When the orders end, the worker drains; the thread that reads them ends after that."""

    def read() -> None:
        orders.read()
        worker.drain()

    threading.Thread(target=read, name="joblot-orders", daemon=True).start()

"""Loops that run until the process is stopped: the sweep, the supervisor of adopters' code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[threading.Event], None]


def run_until_signaled(*clocks: Clock) -> None:
    """Run the clocks, one thread each, until SIGTERM or Ctrl-C."""
    signaled = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signaled.set())
    with running(*clocks):
        signaled.wait()


@contextmanager
def running(*clocks: Clock) -> Iterator[None]:
    """Run the clocks inside the block, one thread each."""
    stop = threading.Event()
    threads = [threading.Thread(target=clock, args=(stop,)) for clock in clocks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()

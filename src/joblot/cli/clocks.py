"""What goes on until the process is told to end: the sweep, the supervisor of adopters' code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[threading.Event], None]


def until_told(*clocks: Clock) -> None:
    """Run them, a thread each, until SIGTERM or Ctrl-C."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    with running(*clocks):
        told.wait()


@contextmanager
def running(*clocks: Clock) -> Iterator[None]:
    """Inside the block they run, a thread each."""
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

"""How a worker ends: by a signal, or because a call of its function is frozen."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from joblot.worker.loop import Worker
from joblot.worker.supervised import Supervised

FROZEN_EXIT = 75  # a call took longer than item_seconds_max
STUCK_SECONDS = 10.0  # in addition, so that every other way to end a frozen call acts first
REARM_SECONDS = 3.0


def signals_that_end() -> list[signal.Signals]:
    """The signals that a worker's supervisor handles; SIGHUP unless it is ignored (`nohup`)."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)  # its terminal was closed
    return numbers


def drain_on_signals(worker: Worker) -> None:
    """Drain on SIGTERM and SIGINT; does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.drain())


def drain_when_asked(worker: Worker, supervised: Supervised) -> None:
    """Drain on a signal, and when the supervisor asks for it or is gone."""
    drain_on_signals(worker)
    supervised.when_orders_end(worker.drain)


def leaving(worker: Worker, supervised: Supervised) -> Callable[[str], None]:
    """What drains the worker and lets its supervisor replace it; takes the reason."""

    def leave(why: str) -> None:
        supervised.answer(leaves=why)
        worker.drain()

    return leave


def leave_frozen(seconds: float) -> None:
    """End this process: nothing else can stop a call from inside it."""
    os._exit(FROZEN_EXIT)


@contextmanager
def ended_when_stuck(call_seconds_max: float) -> Iterator[None]:
    """End this process if none of its threads can run for longer than a call may take.

    C code that holds the GIL stops them all. If there is no supervisor, or it was killed, only a
    timer that needs no GIL is left: it prints where the call is, and exits with 1.
    """
    over = threading.Event()

    def rearm() -> None:
        while not over.is_set():
            faulthandler.dump_traceback_later(call_seconds_max + STUCK_SECONDS, exit=True, file=2)
            over.wait(REARM_SECONDS)
        faulthandler.cancel_dump_traceback_later()

    thread = threading.Thread(target=rearm, name="joblot-stuck", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

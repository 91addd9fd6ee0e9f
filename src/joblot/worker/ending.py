"""How a worker ends: by a signal, or because a call of its function is frozen."""

from __future__ import annotations

import os
import signal
import threading

from joblot.worker.loop import Worker

FROZEN_EXIT = 75  # a call took longer than item_seconds_max


def signals_that_end() -> list[signal.Signals]:
    """Those that a worker's supervisor answers; SIGHUP only where `nohup` does not ignore it."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)  # its terminal goes away
    return numbers


def drain_on_signals(worker: Worker) -> None:
    """At SIGTERM and SIGINT; does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.drain())


def leave_frozen(seconds: float) -> None:
    """Nothing can stop a call from inside but the end of its process."""
    os._exit(FROZEN_EXIT)

"""Writes a file of a run in a thread of its own, so that a slow disk or reader delays no worker."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from django.db import Error, connections

from joblot.cli.records.ended import Ended
from joblot.errors import JoblotError, Unavailable

TICK_SECONDS = 0.2
Failure = JoblotError | OSError | Error


class Record(Protocol):
    """A file that grows. Its methods are called by one thread; each may raise OSError and
    JoblotError. After Unavailable, `grow` is called again.
    """

    def begin(self) -> None:
        """What the job has already is written."""

    def take(self, endings: Sequence[Ended]) -> None:
        """These items have ended since. Only remembers them."""

    def grow(self) -> None:
        """Write what is known to have ended."""

    def end(self, *, finished: bool) -> None:
        """Write the rest, and close. `finished`: the job has ended, not only the run."""


class Recorder:
    """Call `start`, then `take` from any thread, then `end`. `error` is why it stopped writing."""

    def __init__(self, record: Record, failed: Callable[[Failure], None]) -> None:
        self._record = record
        self._failed = failed
        self._came: queue.SimpleQueue[Sequence[Ended] | bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="joblot-record", daemon=True)
        self.error: Failure | None = None

    def start(self) -> None:
        self._thread.start()

    def take(self, endings: Sequence[Ended]) -> None:
        if self.error is None:
            self._came.put(endings)

    def end(self, *, finished: bool, seconds_max: float | None = None) -> None:
        """Wait until all is written. Who reads a pipe decides how long that takes, unless
        `seconds_max` does.
        """
        self._came.put(finished)
        self._thread.join(seconds_max)

    def _run(self) -> None:
        try:
            self._record.begin()
            while (finished := self._taken()) is None:
                try:
                    self._record.grow()
                except Unavailable:  # the run reports it, as it reads the same database
                    continue
            self._record.end(finished=finished)
        except (JoblotError, OSError, Error) as error:
            self.error = error
            self._failed(error)
        finally:
            connections.close_all()

    def _taken(self) -> bool | None:
        """Take what comes within a tick; returns whether the job has finished, at the end."""
        until = time.monotonic() + TICK_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                came = self._came.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(came, bool):
                return came
            self._record.take(came)
        return None

"""`joblot worker`: parallel processes, replaced when they die, drained together."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from joblot.errors import InvalidInput, JoblotError, Refused, Unavailable
from joblot.worker.backoff import backoff_seconds
from joblot.worker.ending import signals_that_end
from joblot.worker.process import DONE, REFUSED, UNAVAILABLE, USAGE
from joblot.worker.pulse import PulseWatch
from joblot.worker.supervisor import Answered, Died, Process, Supervisor

logger = logging.getLogger("joblot.worker")

SIGNAL_SECONDS_MAX = 0.5  # for a signal that woke another thread, or came just before the wait
STEADY_SECONDS = 60.0  # a process that lived longer is replaced at once
ERRORS: Mapping[int, type[JoblotError]] = {
    USAGE: InvalidInput,
    REFUSED: Refused,
    UNAVAILABLE: Unavailable,
}
FINAL = (InvalidInput, Refused)  # a new process would get the same answer
Happening = Answered | Died | signal.Signals | None  # None: it is time to start another


class Orders(Protocol):
    """What the processes are to do."""

    def as_json(self) -> dict[str, Any]: ...

    @property
    def call_seconds_max(self) -> float: ...


@dataclass(slots=True)
class WorkerProcesses:
    """`size` processes with the same order. Call `start`, then `work`, from the main thread.

    They run `module`; with `same_path`, they have this process's search path.
    """

    order: Orders
    size: int
    module: str = "joblot.worker.process"
    same_path: bool = False
    _happened: queue.SimpleQueue[Happening] = field(default_factory=queue.SimpleQueue)
    _supervisor: Supervisor = field(init=False)
    _draining: bool = False
    _error: JoblotError | None = None
    _code: int = DONE
    _deaths: int = 0  # consecutive, of short-lived processes
    _ready: set[Process] = field(default_factory=set)  # that have loaded the function

    def __post_init__(self) -> None:
        self._supervisor = Supervisor(self.module, self._happened.put, same_path=self.same_path)

    def start(self) -> tuple[str, ...]:
        """Start them all; returns the pipelines they serve, once the first is ready.

        Raises InvalidInput if the function can't be used, Unavailable if no process can be
        started, or results can't be stored.
        """
        for number in signals_that_end():
            signal.signal(number, self._signalled)
        self._start_one()
        pipelines = self._first()
        for _ in range(self.size - 1):
            if not self._draining:
                self._start_one()
        return pipelines

    def work(self) -> int:
        """Run until drained; returns the exit code. Raises the error if joblot refuses them."""
        while self._supervisor.processes or not self._draining:
            happened = self._next()
            if isinstance(happened, Died):
                self._reap(happened)
            elif isinstance(happened, signal.Signals):
                self._interrupt(happened)
            elif isinstance(happened, Answered):
                self._handle_answer(happened)
            elif not self._draining:
                self._start_one()
        if self._error is not None:
            raise self._error
        return self._code

    def _first(self) -> tuple[str, ...]:
        while True:
            happened = self._next()
            if isinstance(happened, Answered):
                if (error := _error_in(happened)) is not None:
                    raise error
                self._ready.add(happened.process)
                return tuple(happened.answer["ready"])
            if isinstance(happened, Died):
                raise InvalidInput(
                    f"function: importing its module ended the worker ({happened.how})"
                )
            if isinstance(happened, signal.Signals):
                self._interrupt(happened)

    def _next(self) -> Happening:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._happened.get(timeout=SIGNAL_SECONDS_MAX)

    def _start_one(self) -> None:
        watch = PulseWatch(self.order.call_seconds_max)
        self._supervisor.start(self.order.as_json(), watch=watch)

    def _reap(self, died: Died) -> None:
        self._supervisor.forget(died.process)
        began = died.process in self._ready
        self._ready.discard(died.process)
        if self._draining:
            if began and died.code != DONE:  # it could not report all its results
                self._code = self._code or UNAVAILABLE
            return
        if died.process.leaves and died.code == DONE:
            logger.info("a worker is replaced: %s", died.process.leaves)
            self._start_one()
            return
        lived = time.monotonic() - died.process.began
        self._deaths = 0 if lived > STEADY_SECONDS else self._deaths + 1
        seconds = backoff_seconds(self._deaths - 1) if self._deaths else 0.0
        logger.warning("a worker ended (%s); a new one starts in %.1f s", died.how, seconds)
        later = threading.Timer(seconds, self._happened.put, args=(None,))
        later.daemon = True
        later.start()

    def _handle_answer(self, answered: Answered) -> None:
        error = _error_in(answered)
        if error is None:
            self._ready.add(answered.process)
        elif isinstance(error, InvalidInput) and answered.process not in self._ready:
            logger.warning("a worker can't begin, the others go on: %s", error)
        elif isinstance(error, FINAL):
            self._error = error
            self._drain()
        else:
            logger.warning("%s", error)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._happened.put(signal.Signals(number))

    def _interrupt(self, number: signal.Signals) -> None:
        """The first signal drains; the second kills."""
        if not self._draining:
            self._drain()
            logger.warning("finishing the items in progress; a second signal stops at once")
            return
        self._code = 128 + number
        self._supervisor.kill()

    def _drain(self) -> None:
        self._draining = True
        self._supervisor.drain()


def _error_in(answered: Answered) -> JoblotError | None:
    kind = ERRORS.get(answered.answer.get("exit_code", DONE))
    return kind(answered.answer["error"]) if kind else None

"""Worker processes side by side: started, replaced when they die, drained together."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from joblot.errors import InvalidInput, JoblotError, Refused, Unavailable
from joblot.worker.backoff import backoff_seconds
from joblot.worker.ending import FROZEN_EXIT
from joblot.worker.order import Order
from joblot.worker.process import DONE, REFUSED, UNAVAILABLE, USAGE

logger = logging.getLogger("joblot.worker")

STEADY_SECONDS = 60.0  # a process that lived so long is replaced at once
ERRORS: Mapping[int, type[JoblotError]] = {
    USAGE: InvalidInput,
    REFUSED: Refused,
    UNAVAILABLE: Unavailable,
}
FINAL = (InvalidInput, Refused)  # a new process would be told the same


@dataclass(frozen=True, slots=True)
class Ready:
    """A process serves these pipelines; or `error` says why it does not, or no longer."""

    pipelines: tuple[str, ...]
    error: JoblotError | None = None


@dataclass(slots=True, eq=False)
class _Process:
    popen: subprocess.Popen[str]
    began: float


@dataclass(frozen=True, slots=True)
class _Died:
    process: _Process
    code: int


@dataclass(slots=True)
class Crew:
    """`size` processes with the same order. Call `start`, then `work`, from the main thread."""

    order: Order
    size: int
    _processes: list[_Process] = field(default_factory=list)
    _happened: queue.SimpleQueue[Ready | _Died | signal.Signals | None] = field(
        default_factory=queue.SimpleQueue
    )
    _draining: bool = False
    _error: JoblotError | None = None
    _code: int = DONE
    _deaths: int = 0  # in a row, of processes that did not live long

    def start(self) -> tuple[str, ...]:
        """Start them all; the pipelines they serve, once the first is ready.

        Raises InvalidInput if the function can't be used, Unavailable if no process can be
        started, or results can't be kept.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        self._start_one()
        pipelines = self._first()
        for _ in range(self.size - 1):
            if not self._draining:
                self._start_one()
        return pipelines

    def work(self) -> int:
        """Until a signal drains them; the exit code. Raises what joblot refuses them for."""
        while self._processes or not self._draining:
            happened = self._happened.get()
            if isinstance(happened, _Died):
                self._bury(happened)
            elif isinstance(happened, signal.Signals):
                self._interrupt(happened)
            elif isinstance(happened, Ready):
                self._hear(happened)
            elif not self._draining:
                self._start_one()
        if self._error is not None:
            raise self._error
        return self._code

    def _first(self) -> tuple[str, ...]:
        while True:
            happened = self._happened.get()
            if isinstance(happened, Ready):
                if happened.error is not None:
                    raise happened.error
                return happened.pipelines
            if isinstance(happened, _Died):
                how = how_it_ended(happened.code)
                raise InvalidInput(f"function: importing its module ended the worker ({how})")
            if isinstance(happened, signal.Signals):
                self._interrupt(happened)

    def _start_one(self) -> None:
        ours, theirs = os.pipe()
        try:
            popen = subprocess.Popen(
                [sys.executable, "-m", "joblot.worker.process"],
                stdin=subprocess.PIPE,
                stdout=2,  # what the function prints; nothing here is data
                pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C is the crew's to answer
                text=True,
            )
        except OSError as error:
            os.close(ours)
            raise Unavailable(f"a worker process can't be started: {error}") from error
        finally:
            os.close(theirs)
        process = _Process(popen, time.monotonic())
        self._processes.append(process)
        threading.Thread(target=self._listen, args=(ours,), daemon=True).start()
        threading.Thread(target=self._wait, args=(process,), daemon=True).start()
        assert popen.stdin is not None
        with contextlib.suppress(OSError):  # dead already: `_wait` tells
            popen.stdin.write(self.order.answering_on(theirs).as_line())
            popen.stdin.flush()

    def _bury(self, died: _Died) -> None:
        self._processes.remove(died.process)
        _close(died.process)
        if self._draining:
            if died.code > 0:  # it could not report all it had
                self._code = self._code or UNAVAILABLE
            return
        lived = time.monotonic() - died.process.began
        self._deaths = 0 if lived > STEADY_SECONDS else self._deaths + 1
        seconds = backoff_seconds(self._deaths - 1) if self._deaths else 0.0
        logger.warning(
            "a worker ended (%s); another begins in %.1f s", how_it_ended(died.code), seconds
        )
        later = threading.Timer(seconds, self._happened.put, args=(None,))
        later.daemon = True
        later.start()

    def _hear(self, answer: Ready) -> None:
        if isinstance(answer.error, FINAL):
            self._error = answer.error
            self._drain()
        elif answer.error is not None:
            logger.warning("%s", answer.error)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._happened.put(signal.Signals(number))

    def _interrupt(self, number: signal.Signals) -> None:
        """The first time what was begun is finished; the second time nothing is."""
        if not self._draining:
            self._drain()
            logger.warning("finishing what was begun; once more ends it at once")
            return
        self._code = 128 + number
        for process in self._processes:
            process.popen.kill()

    def _drain(self) -> None:
        self._draining = True
        for process in self._processes:
            _close(process)

    def _listen(self, answers: int) -> None:
        with os.fdopen(answers) as lines:
            for line in lines:
                answer: dict[str, Any] = json.loads(line)
                kind = ERRORS.get(answer.get("exit_code", DONE))
                error = kind(answer["error"]) if kind else None
                self._happened.put(Ready(tuple(answer.get("ready", ())), error))

    def _wait(self, process: _Process) -> None:
        self._happened.put(_Died(process, process.popen.wait()))


def how_it_ended(code: int) -> str:
    """The exit code of a process, in words."""
    if code == FROZEN_EXIT:
        return "frozen: no progress for too long"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _close(process: _Process) -> None:
    """Its order ends, and so it drains."""
    if process.popen.stdin is not None:
        with contextlib.suppress(OSError):
            process.popen.stdin.close()

"""The supervisor: starts processes that run adopters' code, and ends those that hang.

Some call event handlers, one removes files from the storage. The supervisor asks nothing of the
database and calls neither, so nothing that they do holds it up. A process that is ended has claimed
its try in the database, together with when the next one is due.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from joblot.config import limits
from joblot.delivery.message import Begun, message_of
from joblot.errors import JoblotError
from joblot.ledger import hooks
from joblot.ledger.file_removal import any_due
from joblot.ledger.transactions import connection

logger = logging.getLogger("joblot.delivery")

WATCH_SECONDS = 0.1  # how soon a call that is too long, or a process that ended, is noticed
RESTART_SECONDS_MAX = 60.0  # between two processes that ended without having begun a call
STDERR = 2
END_SECONDS = 1.0  # for a process that was killed to be gone


class Child:
    """A process in a group of its own, and the call that it is in."""

    def __init__(self, *options: str) -> None:
        reads, says = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "joblot.delivery", "--says", str(says), *options],
                stdin=subprocess.PIPE,
                stdout=STDERR,  # what a handler prints is no command's answer
                pass_fds=[says],
                env=os.environ | {"PYTHONPATH": _path()},
                start_new_session=True,  # what a handler has started is ended with it
            )
        finally:
            os.close(says)
        self.began_any = False
        self.returned = 0  # calls
        self._call: tuple[Begun, float] | None = None
        self._reader = threading.Thread(target=self._read, args=(reads,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def is_slow(self) -> bool:
        call = self._call
        return call is not None and time.monotonic() - call[1] > limits().handler_slow_seconds

    def end_if_overdue(self) -> bool:
        """Kill it if its call takes longer than it may; True if so."""
        call = self._call
        if call is None or time.monotonic() - call[1] <= call[0].seconds_max:
            return False
        logger.error(
            "%s has not returned for %g s; process %d is ended, the next try is in %g s at most",
            call[0].what,
            call[0].seconds_max,
            self.pid,
            call[0].retry_seconds - call[0].seconds_max,
        )
        self.kill()
        return True

    def stop(self) -> None:
        """Ask it to end after the call that it is in."""
        if self.exit_code is None:
            self._process.terminate()

    def kill(self) -> None:
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        self._reader.join(END_SECONDS)

    def _read(self, reads: int) -> None:
        with os.fdopen(reads) as lines:
            for line in lines:
                self._note(line)

    def _note(self, line: str) -> None:
        self.began_any = True
        message = message_of(line)
        if isinstance(message, Begun):
            self._call = message, time.monotonic()
        else:
            self._call = None
            self.returned += message.returned


class _Crew:
    """The processes with the same options. One that is overdue, or that ended, is replaced."""

    def __init__(self, is_another_needed: Callable[[list[Child]], bool], *options: str) -> None:
        self.children: list[Child] = []
        self._is_another_needed = is_another_needed
        self._options = options
        self._start_at, self._fruitless = 0.0, 0

    def tend(self) -> None:
        for child in list(self.children):
            if child.end_if_overdue() or child.exit_code is not None:
                self.children.remove(child)
                child.kill()
                fruitful = child.began_any or child.exit_code == 0
                self._fruitless = 0 if fruitful else self._fruitless + 1
                wait = min(2.0**self._fruitless - 1, RESTART_SECONDS_MAX)
                self._start_at = time.monotonic() + wait
        if time.monotonic() >= self._start_at and self._is_another_needed(self.children):
            self.children.append(Child(*self._options, *["--spare"] * bool(self.children)))


def supervise_until(stop: threading.Event) -> None:
    """Have events delivered and files removed by processes of their own until `stop` is set.

    For a process that has imported the handlers: where there are none, none is started to call
    them. One that removes files is there while files wait to be removed.
    """
    with _files_waiting() as waiting:
        crews = [
            _Crew(_is_another_needed),
            _Crew(lambda children: waiting.is_set() and not children, "--files"),
        ]
        while not stop.wait(WATCH_SECONDS):
            for crew in crews:
                crew.tend()
        _stop([child for crew in crews for child in crew.children])


@contextmanager
def _files_waiting() -> Iterator[threading.Event]:
    """Set while files wait to be removed. A thread asks: unlike this one, it may wait."""
    waiting, over = threading.Event(), threading.Event()

    def ask() -> None:
        while not over.wait(limits().handler_poll_seconds):
            try:
                (waiting.set if any_due() else waiting.clear)()
            except JoblotError as error:
                logger.debug("whether files wait to be removed is not known: %s", error)
            except Exception:
                logger.exception("whether files wait to be removed is not known; it is asked again")
        connection().close()

    thread = threading.Thread(target=ask, name="joblot-files", daemon=True)
    thread.start()
    try:
        yield waiting
    finally:
        over.set()
        thread.join(END_SECONDS)


def deliver_once() -> int:
    """Have everything that is due delivered, once; returns how many were taken by handlers."""
    deliveries = 0
    while hooks.event_handlers():
        child = _watched_to_its_end()
        deliveries += child.returned
        if child.exit_code == 0 or not child.began_any:
            break
    return deliveries


def remove_files_once() -> int:
    """Have the files removed that wait for it; returns how many. Ends where the storage fails."""
    return _watched_to_its_end("--files").returned if any_due() else 0


def _watched_to_its_end(*options: str) -> Child:
    child = Child("--once", *options)
    while child.exit_code is None and not child.end_if_overdue():
        time.sleep(WATCH_SECONDS)
    child.kill()
    return child


def _is_another_needed(children: list[Child]) -> bool:
    """While each of them has been in one call for long, events of other handlers wait."""
    if not hooks.event_handlers():
        return False
    return len(children) < limits().handler_processes_max and all(
        child.is_slow() for child in children
    )


def _stop(children: list[Child]) -> None:
    for child in children:
        child.stop()
    until = time.monotonic() + limits().handler_stop_seconds_max
    while time.monotonic() < until and any(child.exit_code is None for child in children):
        time.sleep(WATCH_SECONDS)
    for child in children:
        child.kill()


def _path() -> str:
    """Where this process finds modules, so that the child finds the project's."""
    return os.pathsep.join(one or os.getcwd() for one in sys.path)  # noqa: PTH109 (as text)

"""Starts processes that run adopters' code, and has hanging ones killed.

Some call event handlers, one removes files from the storage. The supervisor neither queries the
database nor runs that code, so nothing blocks it. A killed process has already recorded its try in
the database, with the time when the next one is due.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from joblot.config import limits
from joblot.delivery.message import Begun, message_of
from joblot.errors import JoblotError, Unavailable
from joblot.ledger.db.transactions import connection
from joblot.ledger.maintain.file_removal import any_due
from joblot.ledger.report import hooks
from joblot.worker.supervisor import Answered, Died, Process, Supervisor
from joblot.worker.watch import Watch

logger = logging.getLogger("joblot.delivery")

TEND_SECONDS = 0.1  # how soon an ended or slow process is noticed
RESTART_SECONDS_MAX = 60.0  # between two processes that ended without having begun a call
END_SECONDS = 10.0  # for processes that were killed to be gone, on a busy machine


class CallWatch(Watch):
    """The call that a process is in, as reported by the process.

    Threads: the thread that listens to the process writes; others read each value once.
    """

    def __init__(self) -> None:
        self.began_any = False
        self.returned = 0  # calls
        self._call: tuple[Begun, float] | None = None

    def note_answer(self, answer: Mapping[str, Any]) -> None:
        self.began_any = True
        message = message_of(answer)
        if isinstance(message, Begun):
            self._call = message, time.monotonic()
        else:
            self._call = None
            self.returned += message.returned

    def is_slow(self) -> bool:
        call = self._call
        return call is not None and time.monotonic() - call[1] > limits().handler_slow_seconds

    def hangs(self) -> bool:
        known = self._call
        if known is None:
            return False
        call, began = known
        if time.monotonic() - began <= call.seconds_max:
            return False
        logger.error(
            "%s has not returned for %g s; its process is killed, the next try is in %g s at most",
            call.what,
            call.seconds_max,
            call.retry_seconds - call.seconds_max,
        )
        return True


class Callers:
    """Processes that make the same calls: of handlers, or of the storage. Used by one thread."""

    def __init__(self, *, files: bool = False) -> None:
        self._files = files
        self._died: queue.SimpleQueue[Died] = queue.SimpleQueue()
        self._supervisor = Supervisor("joblot.delivery", self._note, same_path=True)
        self._watches: dict[Process, CallWatch] = {}
        self._start_at, self._fruitless = 0.0, 0

    def _note(self, happened: Answered | Died) -> None:
        if isinstance(happened, Died):
            self._died.put(happened)

    def start(self, *, once: bool = False) -> CallWatch:
        """Start one. One started beside others ends by itself after an idle time."""
        order = {"once": once, "spare": bool(self._watches), "files": self._files}
        watch = CallWatch()
        process = self._supervisor.start(order, watch=watch)
        self._watches[process] = watch
        return watch

    def watches(self) -> Collection[CallWatch]:
        """The watches of the processes that have not ended."""
        self._reap()
        return self._watches.values()

    def add(self) -> None:
        """Start another, unless the previous ones ended at once."""
        if time.monotonic() < self._start_at:
            return
        try:
            self.start()
        except Unavailable as error:
            logger.warning("calls wait: %s", error)
            self._put_off()

    def wait(self) -> int:
        """Wait until one ends; returns its exit code."""
        return self._reap_one(self._died.get())

    def stop(self) -> None:
        """Ask each to end after its call."""
        for process in self._watches:
            self._supervisor.say(process, {"stop": True})

    def kill(self, after: float) -> None:
        """Kill those that have not ended at `after`, on the monotonic clock."""
        self._await_end(after)
        self._supervisor.kill()
        self._await_end(time.monotonic() + END_SECONDS)

    def _await_end(self, until: float) -> None:
        while self._watches and (left := until - time.monotonic()) > 0:
            try:
                self._reap_one(self._died.get(timeout=left))
            except queue.Empty:
                return

    def _reap(self) -> None:
        while not self._died.empty():
            self._reap_one(self._died.get())

    def _reap_one(self, died: Died) -> int:
        watch = self._watches.pop(died.process)
        self._supervisor.forget(died.process)
        if watch.began_any or died.code == 0:
            self._fruitless = 0
            self._start_at = time.monotonic()
        else:
            self._put_off()
        return died.code

    def _put_off(self) -> None:
        self._fruitless += 1
        self._start_at = time.monotonic() + min(2.0**self._fruitless - 1, RESTART_SECONDS_MAX)


def supervise_until(stop: threading.Event) -> None:
    """Have events delivered and files removed, in separate processes, until `stop` is set.

    For a process that has imported the handlers: without handlers, no process is started for them.
    A process that removes files runs while files wait to be removed.
    """
    handlers, files = Callers(), Callers(files=True)
    with _files_waiting() as waiting:
        while not stop.wait(TEND_SECONDS):
            if _is_another_needed(handlers.watches()):
                handlers.add()
            if not files.watches() and waiting.is_set():
                files.add()
        until = time.monotonic() + limits().handler_stop_seconds_max
        for callers in (handlers, files):
            callers.stop()
        for callers in (handlers, files):
            callers.kill(until)


def _is_another_needed(watches: Collection[CallWatch]) -> bool:
    """True if each of them has been in one call for long, so that other handlers' events wait."""
    if not hooks.event_handlers():
        return False
    return len(watches) < limits().handler_processes_max and all(
        watch.is_slow() for watch in watches
    )


@contextmanager
def _files_waiting() -> Iterator[threading.Event]:
    """Set while files wait to be removed. A thread queries, since unlike this one it may block."""
    waiting, over = threading.Event(), threading.Event()

    def ask() -> None:
        while not over.wait(limits().handler_poll_seconds):
            try:
                (waiting.set if any_due() else waiting.clear)()
            except JoblotError as error:
                logger.debug("can't see whether files wait to be removed: %s", error)
            except Exception:
                logger.exception("can't see whether files wait to be removed, retrying")
        connection().close()

    thread = threading.Thread(target=ask, name="joblot-files", daemon=True)
    thread.start()
    try:
        yield waiting
    finally:
        over.set()
        thread.join(END_SECONDS)


def deliver_once() -> int:
    """Have everything that is due delivered, once; returns how many calls of handlers returned."""
    deliveries = 0
    handlers = Callers()
    while hooks.event_handlers():
        watch = handlers.start(once=True)
        code = handlers.wait()
        deliveries += watch.returned
        if code == 0 or not watch.began_any:
            break
    return deliveries


def remove_files_once() -> int:
    """Have all waiting files removed; returns how many. Stops at a failure of the storage."""
    if not any_due():
        return 0
    files = Callers(files=True)
    watch = files.start(once=True)
    files.wait()
    return watch.returned

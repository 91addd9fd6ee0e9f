"""Starts processes that run event handlers, and has those ended that hang.

It asks nothing of the database and runs no handler, so nothing that a handler does holds it up. A
process that is ended has claimed its try in the database, together with when the next one is due.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any

from joblot.config import limits
from joblot.delivery.message import Begun, message_of
from joblot.errors import Unavailable
from joblot.ledger import hooks
from joblot.worker.supervisor import Answered, Died, Process, Supervisor
from joblot.worker.watch import Watch

logger = logging.getLogger("joblot.delivery")

TEND_SECONDS = 0.1  # how soon a process that ended, or one that is slow, is noticed
RESTART_SECONDS_MAX = 60.0  # between two processes that ended without having begun a call
END_SECONDS = 10.0  # for processes that were killed to be gone, on a busy machine


class CallWatch(Watch):
    """The call that a process of handlers is in, as the process has said.

    Threads: the one that listens to the process writes, others read each value once.
    """

    def __init__(self) -> None:
        self.began_any = False
        self.deliveries = 0
        self._call: tuple[Begun, float] | None = None

    def hear(self, answer: Mapping[str, Any]) -> None:
        self.began_any = True
        message = message_of(answer)
        if isinstance(message, Begun):
            self._call = message, time.monotonic()
        else:
            self._call = None
            self.deliveries += message.returned

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
            "%s has not returned for %g s; its process is ended, the next try is in %g s at most",
            call.what,
            call.seconds_max,
            call.retry_seconds - call.seconds_max,
        )
        return True


class Deliverers:
    """Processes of handlers. Used by one thread."""

    def __init__(self) -> None:
        self._died: queue.SimpleQueue[Died] = queue.SimpleQueue()
        self._supervisor = Supervisor("joblot.delivery", self._note, same_path=True)
        self._watches: dict[Process, CallWatch] = {}
        self._start_at, self._fruitless = 0.0, 0

    def _note(self, happened: Answered | Died) -> None:
        if isinstance(happened, Died):
            self._died.put(happened)

    def start(self, *, once: bool = False) -> CallWatch:
        """Start one; what is beside another ends when nothing was due for long."""
        order, watch = {"once": once, "spare": bool(self._watches)}, CallWatch()
        process = self._supervisor.start(order, watch=watch)
        self._watches[process] = watch
        return watch

    def tend(self) -> None:
        """Replace those that have ended, and start another beside those that are slow."""
        self._bury()
        if time.monotonic() < self._start_at or not self._is_another_needed():
            return
        try:
            self.start()
        except Unavailable as error:
            logger.warning("events wait: %s", error)
            self._put_off()

    def wait(self) -> int:
        """Until one ends; its exit code."""
        return self._bury_one(self._died.get())

    def stop(self) -> None:
        """Let each finish its call, for `handler_stop_seconds_max`, and kill what is left."""
        for process in self._watches:
            self._supervisor.say(process, {"stop": True})
        self._await_end(limits().handler_stop_seconds_max)
        self._supervisor.kill()
        self._await_end(END_SECONDS)

    def _await_end(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._watches and (left := until - time.monotonic()) > 0:
            try:
                self._bury_one(self._died.get(timeout=left))
            except queue.Empty:
                return

    def _bury(self) -> None:
        while not self._died.empty():
            self._bury_one(self._died.get())

    def _bury_one(self, died: Died) -> int:
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

    def _is_another_needed(self) -> bool:
        """While each of them has been in one call for long, events of other handlers wait."""
        return len(self._watches) < limits().handler_processes_max and all(
            watch.is_slow() for watch in self._watches.values()
        )


def supervise_until(stop: threading.Event) -> None:
    """Have events delivered by processes of their own until `stop` is set.

    For a process that has imported the handlers: where there are none, none is started. One whose
    call is too long, or that ended, is replaced.
    """
    if not hooks.event_handlers():
        stop.wait()
        return
    deliverers = Deliverers()
    while not stop.wait(TEND_SECONDS):
        deliverers.tend()
    deliverers.stop()


def deliver_once() -> int:
    """Have everything that is due delivered, once; returns how many were taken by handlers."""
    deliveries = 0
    deliverers = Deliverers()
    while hooks.event_handlers():
        watch = deliverers.start(once=True)
        code = deliverers.wait()
        deliveries += watch.deliveries
        if code == 0 or not watch.began_any:
            break
    return deliveries

"""Runs code in a separate thread, with its own database connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, ParamSpec, TypeVar

from django.db import connections

from joblot.ledger.db.base import SLOTS
from tests import databases

T = TypeVar("T")
P = ParamSpec("P")

RESULT_SECONDS_MAX = 60  # longer than any claim waits


class Slots:
    """Gives each connection of a test its own tally slot.

    Two connections whose process ids have the same remainder share a slot, and wait for each
    other's commit. That is correct, but would hang a test that stops one of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def take(self) -> None:
        """Reconnect this thread until its slot is unused."""
        connection = connections[databases.current()]
        if connection.vendor != "postgresql":
            return
        while True:
            connection.ensure_connection()
            slot = connection.connection.info.backend_pid % SLOTS
            with self._lock:
                if slot not in self._taken:
                    self._taken.add(slot)
                    return
            connection.close()


class InThread(Generic[T]):
    """A running call. `result` waits for it and raises what it raised."""

    def __init__(self, call: Callable[[], T], name: str, slots: Slots) -> None:
        self._slots = slots
        self._future: Future[T] = Future()
        self._call = call
        self._looked_at = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return self._future.done()

    def result(self, timeout: float = RESULT_SECONDS_MAX) -> T:
        self._looked_at = True
        answer = self._future.result(timeout)
        self._thread.join(timeout)
        return answer

    def error(self, timeout: float = RESULT_SECONDS_MAX) -> BaseException | None:
        """The exception it raised, or None."""
        self._looked_at = True
        return self._future.exception(timeout)

    def end(self) -> None:
        """Wait; raise its error unless the test has read it."""
        if not self._looked_at:
            self.result()
        self._thread.join(RESULT_SECONDS_MAX)
        assert not self._thread.is_alive(), f"{self._thread.name} still runs after the test"

    def _run(self) -> None:
        try:
            self._slots.take()
            answer = self._call()
        except BaseException as error:  # noqa: BLE001 (raised again by `result`)
            connections.close_all()
            self._future.set_exception(error)
        else:
            connections.close_all()
            self._future.set_result(answer)


class Threads:
    """Starts calls in threads, and ends them all after the test."""

    def __init__(self) -> None:
        self._started: list[InThread[object]] = []
        self._slots = Slots()
        self._slots.take()

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> InThread[T]:
        name = f"{getattr(call, '__name__', 'call')}-{len(self._started)}"
        running = InThread(lambda: call(*args, **kwargs), name, self._slots)
        self._started.append(running)  # type: ignore[arg-type]
        return running

    def end(self) -> None:
        for running in self._started:
            running.end()

"""Results without a receipt yet, shared by the threads that compute, keep and post them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.wire import Result
from joblot.worker.backoff import backoff_seconds
from joblot.worker.spool import Place, Spool

WAITING_RESULTS_MAX = 10_000  # more than this waiting, and the function waits too
WAITING_BYTES_MAX = 268_435_456
REPORT_BYTES_MAX = 4_194_304  # of one report's JSON; one result may be larger
LOOK_SECONDS = 0.5  # how soon a waiting thread sees that a drain began


@dataclass(slots=True, eq=False)
class Kept:
    """A result that has no receipt yet. `ready` to be posted, once it is where it is kept."""

    token: str
    result: Result
    size: int  # bytes, as JSON
    record: bytes = b""
    ready: bool = True
    spool: Spool | None = None
    place: Place | None = None
    not_before: float = 0.0
    tries: int = 0

    def later(self, error: JoblotError | None = None) -> Kept:
        """To be posted again, after a wait."""
        self.not_before = time.monotonic() + backoff_seconds(self.tries, error)
        self.tries += 1
        return self

    def instead(self, result: Result) -> Kept:
        """Another result for the same item."""
        return Kept(self.token, result, self.size, spool=self.spool, place=self.place)


@dataclass(slots=True)
class Backlog:
    """What waits, in the order in which it came.

    Invariant: a result is in `_waiting`, or in the hands of the thread that posts it.
    """

    draining: threading.Event
    report_bytes_max: int = REPORT_BYTES_MAX
    _waiting: list[Kept] = field(default_factory=list)
    _posting: int = 0
    _full: bool = False
    _ending_at: float | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, results: Sequence[Kept]) -> None:
        """Add these; waits as long as too many wait already, unless a drain has begun."""
        with self._changed:
            self._wait_or_drain(self._has_room)
            self._waiting += results
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until each was posted once, or a drain has begun."""
        with self._changed:
            self._wait_or_drain(
                lambda: not self._posting and all(one.tries for one in self._waiting)
            )

    def end(self, seconds_max: float) -> None:
        """Nothing more is put; what is left may be posted for so long."""
        with self._changed:
            self._ending_at = time.monotonic() + seconds_max
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + self._posting

    def tokens(self) -> set[str]:
        with self._changed:
            return {one.token for one in self._waiting}

    def unkept(self) -> list[Kept] | None:
        """Waits for results that are to be written to disk; None when none will come any more."""
        with self._changed:
            while not (found := [one for one in self._waiting if not one.ready]):
                if self._ending_at is not None:
                    return None
                self._changed.wait()
            return found

    def wait_for_room(self, spool: Spool, size: int) -> None:
        """The function waits too meanwhile; what is in hand when the worker ends is kept anyway."""
        with self._changed:
            self._full = not spool.has_room(size)
            self._changed.wait_for(lambda: self._ending_at is not None or spool.has_room(size))
            self._full = False
            self._changed.notify_all()

    def kept(self, results: Iterable[Kept]) -> None:
        """These may be posted now."""
        with self._changed:
            for one in results:
                one.ready, one.record = True, b""
            self._changed.notify_all()

    def next_batch(self) -> list[Kept] | None:
        """What is due of the lease whose results wait longest; None when it is time to end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._ending_at is not None and (not self._waiting or now >= self._ending_at):
                    return None
                if due := [one for one in self._waiting if one.ready and one.not_before <= now]:
                    return self._take(due)
                self._changed.wait(self._pause_seconds(now))

    def posted(self, batch: Sequence[Kept], again: Sequence[Kept]) -> None:
        """The batch is out of the poster's hands; these of it are to be posted again."""
        with self._changed:
            self._posting -= len(batch)
            self._waiting += again
            self._changed.notify_all()

    def shrink(self, bytes_refused: int) -> None:
        """A report of this size was too large: the next ones are smaller."""
        self.report_bytes_max = max(min(self.report_bytes_max, bytes_refused // 2), 1)

    def _take(self, due: list[Kept]) -> list[Kept]:
        batch: list[Kept] = []
        size = 0
        for one in due:
            if one.token != due[0].token:
                continue
            if batch and size + one.size > self.report_bytes_max:
                break
            batch.append(one)
            size += one.size
            if len(batch) == limits().results_per_report_max:
                break
        taken = set(batch)
        self._waiting = [one for one in self._waiting if one not in taken]
        self._posting = len(batch)
        return batch

    def _has_room(self) -> bool:
        return (
            not self._full
            and len(self._waiting) < WAITING_RESULTS_MAX
            and sum(one.size for one in self._waiting) < WAITING_BYTES_MAX
        )

    def _wait_or_drain(self, true: Callable[[], bool]) -> None:
        """A signal handler may not notify, so the drain is looked for now and then."""
        while not (true() or self.draining.is_set()):
            self._changed.wait(LOOK_SECONDS)

    def _pause_seconds(self, now: float) -> float | None:
        wakes = [one.not_before for one in self._waiting if one.ready]
        if self._ending_at is not None:
            wakes.append(self._ending_at)
        return max(0.0, min(wakes) - now) if wakes else None

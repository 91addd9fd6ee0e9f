"""Results that have no receipt yet, shared by the threads that compute, store and post them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from joblot.config import limits
from joblot.errors import Unavailable
from joblot.shown import counted_and
from joblot.wire import Claim, NextClaim, Result
from joblot.worker.backoff import backoff_seconds
from joblot.worker.spool import Place, Spool

WAITING_RESULTS_MAX = 10_000  # when more are waiting, the function waits too
WAITING_BYTES_MAX = 268_435_456
REPORT_BYTES_MAX = 4_194_304  # of one report's JSON; one result may be larger
POSTS_SHARE = 0.05  # of the time may be spent on posts; after a costly one, results gather
GATHER_SECONDS_MAX = 0.1  # that a result waits for others; it does not wait if it is awaited
DRAIN_POLL_SECONDS = 0.5  # how soon a waiting thread notices that a drain has begun


def they_wait(results: int) -> str:
    """For the log: `1 result waits`."""
    return counted_and(results, "result", "waits", "wait")


@dataclass(slots=True, eq=False)
class Kept:
    """A result that has no receipt yet. It is `ready` to be posted once it is stored."""

    token: str
    result: Result
    size: int  # bytes, as JSON
    record: bytes = b""
    ready: bool = True
    spool: Spool | None = None
    place: Place | None = None
    not_before: float = 0.0
    tries: int = 0
    failed_alone: int = 0  # times that the server failed on this result when posted by itself

    def later(self) -> Kept:
        """Post it again, after its own backoff."""
        self.not_before = time.monotonic() + backoff_seconds(self.tries)
        self.tries += 1
        return self

    def instead(self, result: Result) -> Kept:
        """A replacement result for the same item."""
        return Kept(self.token, result, self.size, spool=self.spool, place=self.place)

    @property
    def about(self) -> dict[str, Any]:
        """What a log line about this result names."""
        return {"item": self.result.item, "lease": self.token}


@dataclass(slots=True, eq=False)
class Wish:
    """A claim that is to be made together with the next report.

    `answer` is None if it was not made, or it is unknown whether it was.
    """

    asked: NextClaim
    answer: Future[Claim | None] = field(default_factory=Future)

    def answered(self, claim: Claim | None) -> None:
        if not self.answer.done():
            self.answer.set_result(claim)

    def withdraw(self, give_back: Callable[[Claim], object]) -> None:
        """Nobody waits for it any more. If it is being made, what is granted is given back."""
        if not self.answer.cancel():
            self.answer.add_done_callback(lambda done: give_back(done.result() or Claim(())))


@dataclass(slots=True)
class Backlog:
    """The waiting results, in order of arrival.

    Invariant: a result is in `_waiting`, or held by the thread that posts it. A wish is in `_wish`,
    or held by that thread, or answered.
    """

    draining: threading.Event
    spool: Spool | None = None
    _waiting: list[Kept] = field(default_factory=list)
    _posting: int = 0
    _report_bytes_max: int = REPORT_BYTES_MAX
    _away_until: float = 0.0
    _away_tries: int = 0  # consecutive posts that found joblot unavailable
    _ending_at: float | None = None
    _wish: Wish | None = None
    _waiting_bytes: int = 0  # of `_waiting`
    _post_began: float = 0.0
    _gather_until: float = 0.0  # until then, results gather unless one is awaited
    _awaiting: int = 0  # how many threads wait until results are posted
    _changed: threading.Condition = field(init=False)
    _awaited: threading.Condition = field(init=False)  # ends the gathering of results early

    def __post_init__(self) -> None:
        lock = threading.RLock()
        self._changed, self._awaited = threading.Condition(lock), threading.Condition(lock)

    def put(self, results: Sequence[Kept]) -> None:
        """Add these; blocks until there is room for them, or a drain begins."""
        with self._changed:
            if not self._has_room(results):
                self._wait_or_drain(lambda: self._has_room(results))
            self._waiting += results
            self._waiting_bytes += sum(one.size for one in results)
            self._changed.notify_all()
            if self._is_full():
                self._awaited.notify()

    def flush(self) -> None:
        """Wait until each has been posted once, joblot is unavailable, or a drain has begun."""
        with self._changed:
            self._wait_or_drain(
                lambda: (
                    self._away_tries
                    or not (self._posting or any(one.tries == 0 for one in self._waiting))
                )
            )

    def wish(self, asked: NextClaim) -> Wish | None:
        """Make this claim with the next report; None if none is about to be posted."""
        with self._changed:
            now = time.monotonic()
            is_due = any(one.not_before <= now for one in self._waiting)
            if not is_due or self._ending_at is not None or now < self._away_until:
                return None
            self._wish = Wish(asked)
            self._awaited.notify()
            return self._wish

    def take_wish(self) -> Wish | None:
        """The claim to be made with the batch that is posted now; None also if it was withdrawn."""
        with self._changed:
            wish, self._wish = self._wish, None
            return wish if wish and wish.answer.set_running_or_notify_cancel() else None

    def end(self, seconds_max: float) -> None:
        """No more results follow; the remaining ones may be posted for at most `seconds_max`."""
        with self._changed:
            self._ending_at = time.monotonic() + seconds_max
            self._changed.notify_all()
            self._awaited.notify()

    @property
    def ending(self) -> bool:
        return self._ending_at is not None

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + self._posting

    def tokens(self) -> set[str]:
        with self._changed:
            return {one.token for one in self._waiting}

    def unkept(self) -> list[Kept] | None:
        """Wait for results to be written to disk; None when no more will come."""
        with self._changed:
            while not (found := [one for one in self._waiting if not one.ready]):
                if self._ending_at is not None:
                    return None
                self._changed.wait()
            return found

    def kept(self, results: Iterable[Kept]) -> None:
        """These may be posted now."""
        with self._changed:
            for one in results:
                one.ready, one.record = True, b""
            self._changed.notify_all()

    def next_batch(self) -> list[Kept] | None:
        """The due results of the lease that has waited longest; None when it is time to end.

        After a costly post, waits for more results to gather, unless one is awaited.
        """
        with self._changed:
            while True:
                now = time.monotonic()
                if self._ending_at is not None and (not self._waiting or now >= self._ending_at):
                    return None
                due = self._due(now)
                if not due:
                    self._changed.wait(self._pause_seconds(now))
                elif self._gathers(now):
                    self._awaited.wait(self._gather_until - now)
                else:
                    self._post_began = now
                    return self._take(due)

    def posted(
        self, batch: Sequence[Kept], again: Sequence[Kept], away: Unavailable | None = None
    ) -> None:
        """The batch was posted; the results in `again` are to be posted again.

        If joblot is unavailable (`away`), nothing is posted until a backoff has passed.
        """
        with self._changed:
            now = time.monotonic()
            gather_seconds = (now - self._post_began) / POSTS_SHARE
            self._gather_until = now + min(gather_seconds, GATHER_SECONDS_MAX)
            self._posting -= len(batch)
            self._waiting[:0] = again
            self._waiting_bytes += sum(one.size for one in again)
            if away is None:
                self._away_until, self._away_tries = 0.0, 0
            else:
                self._away_until = now + backoff_seconds(self._away_tries, away)
                self._away_tries += 1
                if self._wish is not None:  # it waits no longer than a claim by itself would
                    self._wish.answered(None)
                    self._wish = None
            self._changed.notify_all()

    def shrink(self, bytes_refused: int) -> None:
        """A report of this size was too large: make the next ones smaller."""
        self._report_bytes_max = max(min(self._report_bytes_max, bytes_refused // 2), 1)

    def _due(self, now: float) -> list[Kept]:
        if now < self._away_until:
            return []
        return [one for one in self._waiting if one.ready and one.not_before <= now]

    def _gathers(self, now: float) -> bool:
        is_awaited = self._awaiting or self._wish is not None or self.ending
        return now < self._gather_until and not is_awaited and not self._is_full()

    def _is_full(self) -> bool:
        """True if the waiting results fill a report."""
        many = len(self._waiting) >= limits().results_per_report_max
        return many or self._waiting_bytes >= self._report_bytes_max

    def _take(self, due: list[Kept]) -> list[Kept]:
        """Results of one lease. A result on which the server has failed is taken alone."""
        batch: list[Kept] = []
        size = 0
        for one in due:
            if one.token != due[0].token or (batch and (one.failed_alone or batch[0].failed_alone)):
                continue
            if batch and size + one.size > self._report_bytes_max:
                break
            batch.append(one)
            size += one.size
            if len(batch) == limits().results_per_report_max:
                break
        taken = set(batch)
        self._waiting = [one for one in self._waiting if one not in taken]
        self._waiting_bytes -= size
        self._posting = len(batch)
        return batch

    def _has_room(self, results: Sequence[Kept]) -> bool:
        if len(self._waiting) >= WAITING_RESULTS_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            return False
        if self.spool is None:
            return True
        unkept = sum(one.size for one in self._waiting if not one.ready)
        return self.spool.has_room(unkept + sum(one.size for one in results if not one.ready))

    def _wait_or_drain(self, true: Callable[[], object]) -> None:
        """Wait until `true()` or a drain. A signal handler can't notify, so the drain is polled."""
        self._awaiting += 1
        self._awaited.notify()
        try:
            while not (true() or self.draining.is_set()):
                self._changed.wait(DRAIN_POLL_SECONDS)
        finally:
            self._awaiting -= 1

    def _pause_seconds(self, now: float) -> float | None:
        wakes = [max(one.not_before, self._away_until) for one in self._waiting if one.ready]
        if self._ending_at is not None:
            wakes.append(self._ending_at)
        return max(0.0, min(wakes) - now) if wakes else None

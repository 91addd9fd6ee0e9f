"""Reporting results, and keeping each until its receipt.

One thread posts all that waits as soon as it is free, so slow items are reported one by one and
quick ones in large batches, without a timer.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from joblot import wire
from joblot.config import limits
from joblot.errors import JoblotError, Unavailable
from joblot.states import Receipt
from joblot.wire import ItemReceipt, Result
from joblot.worker.client import Client
from joblot.worker.held import Held

logger = logging.getLogger("joblot.worker")

BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 30.0
WAITING_RESULTS_MAX = 10_000  # more than this waiting, and the function waits too


@dataclass(slots=True)
class _Kept:
    """A result that has no receipt yet."""

    token: str
    result: Result
    not_before: float = 0.0
    tries: int = 0

    def later(self) -> _Kept:
        self.not_before = time.monotonic() + backoff_seconds(self.tries)
        self.tries += 1
        return self


def backoff_seconds(tries: int) -> float:
    """A wait that doubles with each try, drawn from its upper half so that many don't meet."""
    longest = min(BACKOFF_SECONDS * 2.0 ** min(tries, 16), BACKOFF_SECONDS_MAX)
    return longest * random.uniform(0.5, 1.0)


def _is_new(one: _Kept) -> bool:
    return one.tries == 0


class Reporter:
    """A thread that posts results until each has its receipt."""

    def __init__(self, client: Client, held: Held) -> None:
        self._client = client
        self._held = held
        self._kept: list[_Kept] = []
        self._state = threading.Condition()
        self._posting = False
        self._ending_at: float | None = None
        self.counted = 0
        self._thread = threading.Thread(target=self._run, name="joblot-reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, token: str, results: Sequence[Result]) -> None:
        """Post these soon; waits while too many wait already."""
        with self._state:
            self._state.wait_for(lambda: len(self._kept) < WAITING_RESULTS_MAX)
            self._kept += [_Kept(token, result) for result in results]
            self._state.notify_all()

    def flush(self) -> None:
        """Wait until each result has its receipt, but for those that are to be posted later."""
        with self._state:
            self._state.wait_for(lambda: not self._posting and not any(map(_is_new, self._kept)))

    def end(self, seconds_max: float) -> int:
        """Post what is left, for at most `seconds_max`; returns how many have no receipt."""
        with self._state:
            self._ending_at = time.monotonic() + seconds_max
            self._state.notify_all()
        self._thread.join()
        return len(self._kept)

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            again = self._post(batch)
            with self._state:
                self._posting = False
                self._kept += again
                self._state.notify_all()
        self._client.close()

    def _next_batch(self) -> list[_Kept] | None:
        """What is due of the lease whose results wait longest; None when it is time to end."""
        with self._state:
            while True:
                now = time.monotonic()
                if self._ending_at is not None and (not self._kept or now >= self._ending_at):
                    return None
                if due := [one for one in self._kept if one.not_before <= now]:
                    return self._take(due)
                self._state.wait(self._pause_seconds(now))

    def _take(self, due: list[_Kept]) -> list[_Kept]:
        token = due[0].token
        batch = [one for one in due if one.token == token][: limits().results_per_report_max]
        taken = set(map(id, batch))
        self._kept = [one for one in self._kept if id(one) not in taken]
        self._posting = True
        return batch

    def _pause_seconds(self, now: float) -> float | None:
        wakes = [one.not_before for one in self._kept]
        if self._ending_at is not None:
            wakes.append(self._ending_at)
        return max(0.0, min(wakes) - now) if wakes else None

    def _post(self, batch: list[_Kept]) -> list[_Kept]:
        """Post results of one lease; returns what is to be posted again."""
        token = batch[0].token
        try:
            receipts = self._client.report(token, [one.result for one in batch])
        except Unavailable as error:
            logger.warning("%d results wait to be reported: %s", len(batch), error)
            return [one.later() for one in batch]
        except JoblotError:
            logger.exception("%d results were refused as a whole", len(batch))
            self._held.settle(token, (one.result.item for one in batch))
            return []
        return self._judged(token, batch, receipts)

    def _judged(
        self, token: str, batch: list[_Kept], receipts: Sequence[ItemReceipt]
    ) -> list[_Kept]:
        again: list[_Kept] = []
        done: list[int] = []
        for one, receipt in zip(batch, receipts, strict=True):
            if receipt.receipt is Receipt.DEFERRED:
                again.append(one.later())
            elif receipt.receipt is Receipt.REJECTED and one.result.succeeded:
                # Not a matter of time: the item fails, and its cause says what was wrong.
                failed = wire.failure(one.result.item, "Rejected", receipt.reason)
                again.append(_Kept(token, failed))
            else:
                self._note(receipt)
                done.append(one.result.item)
        self._held.settle(token, done)
        return again

    def _note(self, receipt: ItemReceipt) -> None:
        if receipt.receipt is Receipt.COUNTED:
            self.counted += 1
        elif receipt.receipt is not Receipt.REQUEUED:
            logger.info("item %s: %s %s", receipt.item, receipt.receipt.value, receipt.reason)

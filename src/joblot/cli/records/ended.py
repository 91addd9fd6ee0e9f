"""What a worker of a run says of the items that it has ended, and how it measures them.

A line is sent once the result has its receipt: what it says is in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from joblot.cli.local_client import LocalClient
from joblot.states import Receipt
from joblot.wire import ClaimedItem, ItemReceipt, NextClaim, Reported, Result
from joblot.worker.function import Work

ERROR_CHARS_MAX = 500  # of a cause, in a line


class Ended(NamedTuple):
    """One attempt of an item. `start` is in UTC; of a batch, each item has its share of seconds."""

    item: int
    key: str
    attempt: int
    start: str
    seconds: float | None
    succeeded: bool
    receipt: Receipt
    error: str
    worker: str = ""

    @classmethod
    def of(cls, given: Sequence[Any], worker: str) -> Self:
        """From the JSON of `Journal`."""
        item, key, attempt, start, seconds, succeeded, receipt, error = given
        return cls(item, key, attempt, start, seconds, succeeded, Receipt(receipt), error, worker)

    @property
    def settles(self) -> bool:
        """True unless it is known that this attempt did not settle the item."""
        return self.receipt in (Receipt.COUNTED, Receipt.AMENDED, Receipt.DUPLICATE)


class Journal:
    """Notes when calls begin and how long they take; `send` gets a list of endings as JSON.

    A call is noted by the thread that computes, and sent by the one that reports.
    """

    def __init__(self, send: Callable[[Sequence[Sequence[Any]]], object]) -> None:
        self._send = send
        self._noted: dict[int, tuple[str, int, str, float]] = {}  # by item, until its receipt

    def timed(self, work: Work) -> Work:
        """The work, whose calls are noted."""

        def noting(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
            by_number = {item.id: item for item in items}
            working = work(items)
            while True:
                start, began = (
                    datetime.now(UTC).isoformat(timespec="milliseconds"),
                    time.monotonic(),
                )
                results = next(working, None)
                if results is None:
                    return
                seconds = round((time.monotonic() - began) / max(len(results), 1), 6)
                for result in results:
                    item = by_number[result.item]
                    self._noted[item.id] = item.key, item.attempt, start, seconds
                yield results

        return noting

    def receipted(self, results: Sequence[Result], receipts: Sequence[ItemReceipt]) -> None:
        endings = [
            (one.item, *noted, one.succeeded, receipt.receipt.value, _cause(one))
            for one, receipt in zip(results, receipts, strict=True)
            if not _is_reported_again(one, receipt.receipt)
            and (noted := self._noted.pop(one.item, None)) is not None
        ]
        if endings:
            self._send(endings)


def _is_reported_again(result: Result, receipt: Receipt) -> bool:
    """A rejected output is reported once more, as a failure."""
    return receipt is Receipt.DEFERRED or (receipt is Receipt.REJECTED and result.succeeded)


def _cause(result: Result) -> str:
    error = result.error
    if error is None:
        return ""
    return (f"{error.type}: {error.message}" if error.message else error.type)[:ERROR_CHARS_MAX]


class JournalingClient(LocalClient):
    """Passes what was reported to the journal, with the receipts."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        receipts = super().report(token, results)
        self._journal.receipted(results, receipts)
        return receipts

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        reported = super().report_and_claim(token, results, claim_next)
        self._journal.receipted(results, reported.receipts)
        return reported

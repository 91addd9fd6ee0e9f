"""Ranges of item numbers: what waits in the queue, and what a lease holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.wake import note_work
from joblot.models import ItemRange

RELEASED = -1  # returns: given back by a worker, not by expiry; some may have been settled since
ALONE = 2  # returns: from this value on an item is leased alone, so that it affects no others


@dataclass(frozen=True, slots=True)
class Span:
    """Items `first` to `last` with their used budget, as a lease lists them."""

    first: int
    last: int
    failures: int = 0
    expiries: int = 0
    returns: int = 0

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)

    def as_list(self) -> list[int]:
        return [self.first, self.last, self.failures, self.expiries, self.returns]

    def part(self, first: int, last: int) -> Span:
        return Span(first, last, self.failures, self.expiries, self.returns)

    def cut(self, items_max: int) -> Iterator[Span]:
        """The same items in spans of at most `items_max`."""
        for first in range(self.first, self.last + 1, items_max):
            yield self.part(first, min(first + items_max - 1, self.last))


def islands(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The runs of consecutive numbers, as (first, last), ascending."""
    first = last = None
    for number in sorted(numbers):
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def _none(span: Span) -> float:
    return 0.0


def enqueue(
    job_id: int,
    stage: int,
    spans: Iterable[Span],
    wait_seconds: Callable[[Span], float] = _none,
    *,
    not_before: datetime | None = None,
) -> None:
    """Put items into the queue of `stage`, in one statement, each to be claimed after its wait,
    or none before the moment `not_before`.

    Ranges have at most `range_items_max` items, so that a retry does not reopen one long range on
    which all claims contend.
    """
    ItemRange.ledger.using(alias()).bulk_create(
        [
            ItemRange(
                job_id=job_id,
                stage=stage,
                next=span.first,
                last=span.last,
                not_before=not_before or clock.after(wait_seconds(span)),
                failures=span.failures,
                expiries=span.expiries,
                returns=span.returns,
            )
            for long in spans
            for span in long.cut(limits().range_items_max)
        ]
    )
    note_work()

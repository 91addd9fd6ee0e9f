"""The rate of a job: how many items it may grant now. For databases without functions.

`window_1` and `rate_1` are the same on PostgreSQL; the first explains why no period has more items
than the limit. Here the transaction holds the database's only write lock, so nothing else is
locked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection
from joblot.models import Job, Rate
from joblot.policy import Policy

SLOTS = 60  # of a period

Granted = tuple[int, int]  # a slot, and the items granted in it


@dataclass(frozen=True, slots=True)
class Window:
    """What was granted lately, oldest first, in slots of a sixtieth of `seconds`. Pure."""

    items_max: int
    seconds: float
    granted: tuple[Granted, ...] = ()

    @classmethod
    def of(
        cls, items_max: int, seconds: float, row_seconds: float, rows: Sequence[Granted], at: float
    ) -> Self:
        """The window that a row stores, at the time `at`.

        If the row has a period of another length (`row_seconds`), what was granted in it counts as
        granted now. So does what was granted more than a period in the future: the clock was ahead.
        """
        current = _slot(at, row_seconds)
        oldest = current - math.ceil(SLOTS * max(1.0, seconds / row_seconds))
        granted = tuple((slot, items) for slot, items in rows if slot >= oldest)
        if row_seconds != seconds:
            return cls(items_max, seconds, ((_slot(at, seconds), _total(granted)),))
        ahead = tuple(one for one in granted if one[0] > current + SLOTS)
        if not ahead:
            return cls(items_max, seconds, granted)
        known = cls(items_max, seconds, tuple(one for one in granted if one not in ahead))
        return known.spend(_total(ahead), at)

    @property
    def left(self) -> int:
        return max(0, self.items_max - _total(self.granted))

    def spend(self, items: int, at: float) -> Self:
        """The same once these were granted. Slots never go back."""
        slot = max([_slot(at, self.seconds), *(one for one, _ in self.granted)])
        others = tuple(one for one in self.granted if one[0] != slot)
        mine = items + sum(count for one, count in self.granted if one == slot)
        return type(self)(self.items_max, self.seconds, (*others, (slot, mine)))

    @property
    def next_at(self) -> float | None:
        """When the next item may be granted; None if one may be granted now."""
        total = _total(self.granted)
        for slot, items in self.granted if total >= self.items_max else ():
            total -= items
            if total < self.items_max:
                return (slot + SLOTS + 1) * self.seconds / SLOTS
        return None


def window_of(job_id: int) -> Window | None:
    """The job's rate as it is now; None if it has no limit."""
    jobs = Job.ledger.using(alias()).filter(pk=job_id)
    policy = Policy(**(jobs.values_list("policy", flat=True).first() or {}))
    if policy.rate_items_max is None:
        return None
    most, seconds = policy.rate_items_max, policy.rate_seconds
    row = Rate.ledger.using(alias()).filter(pk=job_id).first()
    if row is None:
        return Window(most, seconds)
    return Window.of(most, seconds, row.seconds, row.granted, now())


def write(job_id: int, window: Window, spent: int) -> None:
    """Note that these items were granted, or that none may be granted until later."""
    values = noted(window, spent)
    rows = Rate.ledger.using(alias())
    if not rows.filter(pk=job_id).update(**values):
        rows.create(pk=job_id, **values)


def noted(window: Window, spent: int) -> dict[str, Any]:
    """The columns of a row that keeps the window, once `spent` items were granted."""
    known = window.spend(spent, now()) if spent else window
    at = known.next_at
    return {
        "seconds": known.seconds,
        "granted": known.granted,
        "next_at": None if at is None else datetime.fromtimestamp(at, UTC),
    }


def now() -> float:
    """The database's time."""
    ((at,),) = fetch(connection(), "db/clock")
    return moment(at).timestamp()


def _total(granted: Sequence[Granted]) -> int:
    return sum(items for _, items in granted)


def _slot(at: float, seconds: float) -> int:
    return int(at * SLOTS // seconds)

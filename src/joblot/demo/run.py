"""Everything known about a completed run of the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joblot.demo.digits import Digits
from joblot.demo.fates import Fate
from joblot.testing.crew.record import Reported


@dataclass(frozen=True, slots=True)
class Run:
    seed: int
    digits: Digits
    seconds: float  # from the first claim to the finish
    job: Mapping[str, Any]  # as returned by `progress`
    failed: Sequence[Mapping[str, Any]]  # items, as returned by `items`
    finished_events: int
    finishes_told: int  # deliveries to the event's handler
    audit: Mapping[str, Any]
    saved: Sequence[tuple[str, int]]  # key and digit of each row that the hook saved
    reports: Sequence[Reported]  # of all workers, in the order sent
    exit_codes: Mapping[str, int]  # by the worker's name
    killed: Fate | None
    late: Fate | None
    unlocked: int  # how many results the unlocked counter counted

    @property
    def receipts(self) -> Counter[str]:
        return Counter(receipt for one in self.reports for receipt in one.receipts)

    @property
    def late_receipts(self) -> Counter[str]:
        """The receipts of the worker that came back after its lease had expired."""
        lease = self.late.lease if self.late else None
        return Counter(r for one in self.reports if one.lease == lease for r in one.receipts)

    @property
    def reported(self) -> int:
        return sum(len(one.items) for one in self.reports)

    @property
    def repeated(self) -> int:
        """Results that had been reported before."""
        return self.reported - len({(one.stage, n) for one in self.reports for n in one.items})

    @property
    def lost_unlocked(self) -> int:
        return self.reported - self.unlocked

    @property
    def judged(self) -> int:
        """How many images the classifier was not trained on."""
        return len(self.digits.labels) - self.digits.half

    @property
    def right(self) -> int:
        """How many of these were recognized and saved correctly."""
        return self.digits.right(dict(self.saved))

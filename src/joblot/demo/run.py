"""All that is known of a run of the demo when it has ended."""

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
    job: Mapping[str, Any]  # as `progress` gives it
    failed: Sequence[Mapping[str, Any]]  # items, as `items` gives them
    finished_events: int
    finishes_told: int  # to the handler of the event
    audit: Mapping[str, Any]
    saved: Sequence[tuple[str, int]]  # key and digit of each row that the hook saved
    reports: Sequence[Reported]  # of all workers, in the order in which they were sent
    exit_codes: Mapping[str, int]  # of the workers, by name
    killed: Fate | None
    late: Fate | None
    unlocked: int  # how many results the unlocked counter counted

    @property
    def receipts(self) -> Counter[str]:
        return Counter(receipt for one in self.reports for receipt in one.receipts)

    @property
    def late_receipts(self) -> Counter[str]:
        """What the worker was answered that came back after its lease had expired."""
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
        """How many images the classifier had not learnt from."""
        return len(self.digits.labels) - self.digits.half

    @property
    def right(self) -> int:
        """How many of these were seen, and saved, right."""
        return self.digits.right(dict(self.saved))

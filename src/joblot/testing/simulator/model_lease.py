"""The model's leases, and what it knows of an item that waits or is held."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from joblot.states import LeaseState


@dataclass
class Waiting:
    """`due`, or at the latest `certain`.

    Ranges that were merged while the clock was ahead are due by that clock; when it is set back,
    they are shortened to the longest wait of their kind.
    """

    due: int = 0
    failures: int = 0
    expiries: int = 0
    alone: bool = False
    came_back: bool = False
    certain: int = 0

    def released(self, due: int) -> Waiting:
        return replace(self, due=due, certain=0)

    def failed(self, due: int) -> Waiting:
        return replace(self, due=due, certain=0, failures=self.failures + 1)

    def expired(self, due: int, *, by_itself: bool) -> Waiting:
        """After its first expiry an item is claimed alone; from then on its expiries count."""
        counts = int(self.came_back and by_itself)
        expiries = self.expiries + counts
        return Waiting(due, self.failures, expiries, alone=self.came_back, came_back=True)


@dataclass
class ModelLease:
    run: int
    stage: int
    held: dict[int, Waiting]  # as when granted
    deadline: int
    claimed: int
    state: LeaseState = LeaseState.LIVE
    gone: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)  # through this lease
    removed: bool = False  # no actor refers to it any more

"""A job as a row of the list: what it shows, from what the ledger says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joblot.ledger.read.pace import Pace
from joblot.sentences import at_least, of, settled_of
from joblot.states import TERMINAL, JobStatus


@dataclass(frozen=True, slots=True)
class JobRow:
    """`settled`, `not_well` and `total` count items, each once; the pace counts them per stage."""

    job: dict[str, Any]
    pace: Pace
    is_mine_to_change: bool

    @property
    def settled(self) -> int:
        """An item is skipped in the stages behind the one that it failed in."""
        return settled_of(self.job["stages"][-1])

    @property
    def not_well(self) -> int:
        return sum(int(stage["failed"] + stage["lost"]) for stage in self.job["stages"])

    @property
    def of(self) -> str:
        return of(self.job)

    @property
    def at_least(self) -> str:
        return at_least(self.job)

    @property
    def is_over(self) -> bool:
        return JobStatus(self.job["status"]) in TERMINAL

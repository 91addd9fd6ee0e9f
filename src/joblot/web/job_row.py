"""A job as a row of the list: what it shows, from what `progress` says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joblot.states import TERMINAL, JobStatus

SETTLED = ("succeeded", "failed", "lost", "skipped")


@dataclass(frozen=True, slots=True)
class JobRow:
    """`settled`, `not_well` and `total` count items, each once; `rate` counts them per stage."""

    job: dict[str, Any]

    @property
    def settled(self) -> int:
        """An item is skipped in the stages behind the one that it failed in."""
        last = self.job["stages"][-1]
        return sum(int(last[name]) for name in SETTLED)

    @property
    def not_well(self) -> int:
        return sum(int(stage["failed"] + stage["lost"]) for stage in self.job["stages"])

    @property
    def is_over(self) -> bool:
        return JobStatus(self.job["status"]) in TERMINAL

    @property
    def per_minute(self) -> float | None:
        """In this run so far; None while the rate is unknown."""
        eta = self.job["eta"]
        if not eta or not eta["p50"]:
            return None
        left = sum(stage["ready"] + stage["in_flight"] for stage in self.job["stages"])
        return float(left / eta["p50"] * 60)

    @property
    def ends(self) -> tuple[datetime, datetime] | None:
        """The moments by which half, and nine in ten, of such jobs are done."""
        eta = self.job["eta"]
        if not eta or self.job["status"] == JobStatus.PAUSED:
            return None
        now = datetime.fromisoformat(self.job["as_of"])
        try:
            return now + timedelta(seconds=eta["p50"]), now + timedelta(seconds=eta["p90"])
        except OverflowError:
            return None

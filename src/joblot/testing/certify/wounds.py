"""Workers that were killed, and how long it took others to settle their items."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Self

from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.ranges import Span
from joblot.models import Lease
from joblot.states import LeaseState


@dataclass(slots=True)
class Wound:
    worker: str
    held: dict[int, set[int]]  # the open items it held, by stage
    items: int = field(init=False)
    healed_seconds: float | None = None
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.items = sum(map(len, self.held.values()))

    @classmethod
    def of(cls, job_id: int, worker: str) -> Self:
        """Record what a worker held when it was killed."""
        held: dict[int, set[int]] = {}
        mine = Lease.ledger.using(alias()).filter(job_id=job_id, worker=worker)
        for lease in mine.filter(state=LeaseState.LIVE):
            numbers = {n for span in lease.ranges for n in Span(*span).numbers}
            open_ = numbers - set(lease.gone) - settled_among(job_id, lease.stage, numbers)
            held.setdefault(lease.stage, set()).update(open_)
        return cls(worker, held)

    def examine(self, job_id: int) -> None:
        """Note the time once everything it held is settled."""
        if self.healed_seconds is not None:
            return
        for stage in self.held:
            self.held[stage] -= settled_among(job_id, stage, self.held[stage])
        if not any(self.held.values()):
            self.healed_seconds = time.monotonic() - self._began

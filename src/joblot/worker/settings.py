"""How a worker works."""

from __future__ import annotations

from dataclasses import dataclass

ITEM_SECONDS_MAX = 3_600.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works, whatever it serves."""

    job: int | None = None  # the only one to claim from
    name: str = ""  # on its leases
    claim_aim_seconds: float = 1.0  # of work to claim at once
    claim_ahead: bool = False  # claim the next lease while one is computed
    wait_seconds: float = 0.0  # that a claim may wait for work
    item_seconds_max: float = ITEM_SECONDS_MAX  # a call without progress for longer is frozen
    idle_seconds_max: float = 1.0  # between two claims that found nothing
    drain_seconds_max: float = 60.0  # for the last reports

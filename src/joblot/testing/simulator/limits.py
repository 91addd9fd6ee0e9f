"""The limits of all pipelines in the model, and what is in flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from joblot.states import LeaseState
from joblot.testing.simulator import model
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_limit import ModelLimit


@dataclass
class Limits:
    """By pipeline; the pipeline of a stage is that of its position."""

    jobs: Mapping[int, model.Job]
    of: dict[str, ModelLimit] = field(
        default_factory=lambda: {pipeline: ModelLimit() for pipeline in PIPELINES}
    )

    def in_flight(self, pipeline: str) -> tuple[int, int]:
        """How many items of the pipeline are in flight: at least, and at most.

        An item may be settled through a lease that has expired. The lease that holds it now may
        count it until it ends.
        """
        least, most = 0, 0
        for job in self.jobs.values():
            for lease in job.leases.values():
                if lease.state is LeaseState.LIVE and PIPELINES[lease.stage] == pipeline:
                    least += len(job.held(lease))
                    most += len(lease.held.keys() - lease.gone - lease.settled)
        return least, most

    def grant(self, pipeline: str, items: int, now: int) -> str:
        """Note a lease that was granted just now; returns the limit that it exceeds, or ""."""
        limit = self.of[pipeline]
        limit.grant(items, now)
        return limit.excess(self.in_flight(pipeline)[0], now)

    def must_grant(self, pipeline: str, now: int) -> bool:
        return self.of[pipeline].must_grant(self.in_flight(pipeline)[1], now)

    def refuse(self, pipeline: str, now: int) -> None:
        self.of[pipeline].refuse(self.in_flight(pipeline)[1], now)

    def set_clock_back(self, now: int) -> None:
        for limit in self.of.values():
            limit.set_clock_back(now)

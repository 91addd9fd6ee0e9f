"""The limits of all pipelines in the model, and the items in flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from joblot.states import LeaseState
from joblot.testing.simulator import model
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_limit import ModelLimit


@dataclass
class Limits:
    """The limits by pipeline. A stage's position decides its pipeline."""

    jobs: Mapping[int, model.Job]
    by_pipeline: dict[str, ModelLimit] = field(
        default_factory=lambda: {pipeline: ModelLimit() for pipeline in PIPELINES}
    )

    def in_flight(self, pipeline: str) -> tuple[int, int]:
        """The least and the greatest number of items of the pipeline that may be in flight.

        They differ if an item was settled through an expired lease: the lease that holds the item
        now may count it until it ends.
        """
        least, most = 0, 0
        for job in self.jobs.values():
            for lease in job.leases.values():
                if lease.state is LeaseState.LIVE and PIPELINES[lease.stage] == pipeline:
                    least += len(job.held(lease))
                    most += len(lease.held.keys() - lease.gone - lease.settled)
        return least, most

    def grant(self, pipeline: str, items: int, now: int) -> str:
        """Note a lease that was granted now; returns how it exceeds a limit, or ""."""
        limit = self.by_pipeline[pipeline]
        limit.grant(items, now)
        return limit.excess(self.in_flight(pipeline)[0], now)

    def must_grant(self, pipeline: str, now: int) -> bool:
        return self.by_pipeline[pipeline].must_grant(self.in_flight(pipeline)[1], now)

    def refuse(self, pipeline: str, now: int) -> None:
        self.by_pipeline[pipeline].refuse(self.in_flight(pipeline)[1], now)

    def set_clock_back(self, now: int) -> None:
        for limit in self.by_pipeline.values():
            limit.set_clock_back(now)

"""An operator who edits the limits of pipelines while their jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from joblot.ledger.db.transactions import alias
from joblot.models import PipelineLimit
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_limit import PERIODS
from joblot.testing.simulator.trouble import CALM, Trouble
from joblot.testing.simulator.workers import trouble_of
from joblot.testing.simulator.world import World

ITEMS_MAX = 6  # in flight, or in a period
NO_CAP: Mapping[str, int | None] = {"in_flight_items_max": None}
NO_RATE: Mapping[str, int | None] = {"rate_items_max": None}


@dataclass(slots=True)
class PipelineOperator:
    world: World
    name: str = "pipeline operator"

    def act(self, draw: Draws) -> None:
        pipeline, kind, items = draw.pick(PIPELINES), draw.below(6), 1 + draw.below(ITEMS_MAX)
        period = draw.pick(PERIODS)
        changes: Mapping[str, int | None] = (
            {"in_flight_items_max": items},
            {"rate_items_max": items, "rate_seconds": period},
            {"rate_items_max": items, "rate_seconds": period, "in_flight_items_max": items},
            {"rate_seconds": period},
            NO_CAP,
            NO_RATE,
        )[kind]
        self.edit(pipeline, changes, trouble_of(self.world, draw))

    def edit(
        self, pipeline: str, changes: Mapping[str, int | None], trouble: Trouble = CALM
    ) -> None:
        """Repeat the edit until it is answered; it must have the effect of a single one."""
        world, limit = self.world, self.world.limits.by_pipeline[pipeline]
        shown = ", ".join(f"{name} {value}" for name, value in changes.items())
        world.say(f"{self.name}: {pipeline}: {shown}")
        answer = world.call("edit_pipeline", pipeline, policy=changes, trouble=trouble)
        if answer.away:
            return
        if not answer.answered and not answer.dead:
            answer = world.call("edit_pipeline", pipeline, policy=changes)
        if not answer.answered and not self._is_made(pipeline, changes):
            return
        limit.edit(changes, world.now)
        world.figures["limits edited"] += 1
        if answer.answered:
            policy, in_flight = answer.value["policy"], answer.value["in_flight"]
            world.require(policy == limit.policy, f"{pipeline}: its limits are {policy}")
            least, most = world.limits.in_flight(pipeline)
            world.require(
                least <= in_flight <= most, f"{pipeline}: {in_flight} items are in flight"
            )

    def lift_all(self) -> None:
        for pipeline, limit in self.world.limits.by_pipeline.items():
            if limit.in_flight_items_max or limit.rate_items_max:
                self.edit(pipeline, {**NO_CAP, **NO_RATE})

    def _is_made(self, pipeline: str, changes: Mapping[str, int | None]) -> bool:
        """Whether an edit whose process was killed was committed; it must not be in part."""
        limit = self.world.limits.by_pipeline[pipeline]
        row = PipelineLimit.ledger.using(alias()).filter(pk=pipeline).first()
        found = limit.policy if row is None else {name: getattr(row, name) for name in limit.policy}
        before, after = limit.policy, limit.edited(changes)
        self.world.require(found in (before, after), f"{pipeline}: its limits are {found}")
        return found == after

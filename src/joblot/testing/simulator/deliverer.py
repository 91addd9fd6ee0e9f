"""A process that delivers events and removes files; handlers and the storage fail and hang."""

from __future__ import annotations

from dataclasses import dataclass

from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.hooks import Fate
from joblot.testing.simulator.trouble import CALM, Trouble
from joblot.testing.simulator.workers import trouble_of
from joblot.testing.simulator.world import World

FATES = (Fate.FINE, Fate.RAISES, Fate.HANGS)
WEIGHTS = (80, 10, 10)
FATES_DRAWN = 4


@dataclass(slots=True)
class Deliverer:
    """Delivers events; what a handler does only affects when events are delivered to it."""

    world: World
    name: str = "deliverer"

    def act(self, draw: Draws) -> None:
        trouble = trouble_of(self.world, draw)
        self.world.adopter.fates = draw.many(FATES_DRAWN, FATES, WEIGHTS)
        self.deliver(trouble)
        self.world.adopter.fates = draw.many(FATES_DRAWN, FATES, WEIGHTS)
        self.remove_files(trouble)

    def deliver(self, trouble: Trouble = CALM) -> None:
        world, adopter = self.world, self.world.adopter
        fates = [fate for fate in adopter.fates if fate is not Fate.FINE]
        world.say(f"{self.name} delivers{': ' if fates else ''}{', '.join(fates)}")
        adopter.delivers = True
        answer = world.call("deliver", trouble=trouble)
        adopter.delivers, adopter.fates = False, []
        if answer.answered:
            world.figures["delivered"] += answer.value
        world.require(not adopter.wrong, "; ".join(adopter.wrong))

    def remove_files(self, trouble: Trouble = CALM) -> None:
        world, adopter = self.world, self.world.adopter
        world.say(f"{self.name} removes files")
        answer = world.call("remove_files", trouble=trouble)
        adopter.fates = []
        if answer.answered:
            world.figures["files removed"] += answer.value

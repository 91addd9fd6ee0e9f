"""Which schedules are tried: all, fewest switches first; then a random sample."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby

from joblot.testing.interleave.database import HOLD
from joblot.testing.interleave.reduction import turns
from joblot.testing.interleave.schedule import Choice, Chooser, Schedule, follow

RunSchedule = Callable[[Chooser], Schedule]

# After the first failure on a level (lower levels have none by then), at most this many more of its
# schedules are tried, in search of a shorter one.
FAILING_LEVEL_RUNS_MAX = 50
SHRINK_RUNS_MAX = 200
KILL_WEIGHT = 0.1  # with equal weights, few operations would get past their first statements


class Frontier:
    """Prefixes of schedules that are still to be tried, by their minimum cost.

    `reduced`: only those that may end differently from one already tried. `alike`: the operations
    are the same, so it makes no difference which of them moves first.
    """

    def __init__(self, *, reduced: bool = False, alike: bool = False) -> None:
        self._levels: list[deque[str]] = [deque([""])]
        self._reduced = reduced
        self._alike = alike
        self._known: set[str] = set()

    @property
    def level(self) -> int | None:
        """The lowest cost that is left; None if every schedule was tried."""
        return next((cost for cost, level in enumerate(self._levels) if level), None)

    def take(self) -> str:
        return next(level for level in self._levels if level).popleft()

    def add_neighbours(self, schedule: Schedule, prefix_length: int) -> None:
        if self._reduced:
            self._known |= {schedule.taken[:length] for length in range(len(schedule.taken) + 1)}
        nexts = turns(schedule) if self._reduced else schedule.neighbours(prefix_length)
        for index, option in nexts:
            cost, prefix = schedule.beginning(index, option)
            if prefix not in self._known and (index or not self._alike):
                self._add(cost, prefix)

    def _add(self, cost: int, prefix: str) -> None:
        if self._reduced:
            self._known.add(prefix)
        while len(self._levels) <= cost:
            self._levels.append(deque())
        self._levels[cost].append(prefix)


def systematic(
    run: RunSchedule, frontier: Frontier, switches_max: int | None
) -> Iterator[Schedule]:
    """Run each schedule once, cheapest first. Ends soon after a failure, on the same level."""
    failing_level, runs_left = None, FAILING_LEVEL_RUNS_MAX
    while (level := frontier.level) is not None and runs_left:
        beyond = switches_max is not None and level > switches_max
        if beyond or failing_level not in {None, level}:
            return
        prefix = frontier.take()
        schedule = run(follow(prefix))
        frontier.add_neighbours(schedule, len(prefix))
        failing_level = level if schedule.problem else failing_level
        runs_left -= failing_level is not None
        yield schedule


def by_chance(run: RunSchedule, seed: int) -> Iterator[Schedule]:
    """Run random schedules without end. The same seed gives the same schedules."""
    chance = random.Random(seed)

    def choose(choice: Choice, _: int) -> str:
        weights = [KILL_WEIGHT if option.islower() else 1.0 for option in choice.options]
        return chance.choices(choice.options, weights)[0]

    while True:
        yield run(choose)


def shrink(failed: Schedule, run: RunSchedule) -> Schedule:
    """Return a similar failing schedule with fewer switches, if there is one."""
    best, runs_left = failed, SHRINK_RUNS_MAX
    relatives = simpler(best.taken)
    while runs_left and (prefix := next(relatives, None)) is not None:
        runs_left -= 1
        tried = run(follow(prefix))
        if tried.problem and tried.size < best.size:
            best, relatives = tried, simpler(tried.taken)
    return best


def simpler(taken: str) -> Iterator[str]:
    """Its prefixes; then it with two adjacent blocks swapped, so that their neighbours merge."""
    for length in range(len(taken)):
        yield taken[:length]
    blocks = ["".join(block) for _, block in groupby(taken)]
    for index in range(1, len(blocks)):
        swapped = blocks.copy()
        swapped[index - 1 : index + 1] = blocks[index], blocks[index - 1]
        yield "".join(swapped)


def is_schedule(text: str) -> bool:
    return all(letter in "ABCabc" + HOLD for letter in text)

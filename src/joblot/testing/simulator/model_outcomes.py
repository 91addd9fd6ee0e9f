"""The model's outcomes: the items that are settled, and their sums by stage."""

from __future__ import annotations

from collections.abc import Callable

from joblot.states import ItemState

COUNTS = ("succeeded", "failed", "lost", "skipped")

Place = tuple[int, int]  # stage, number
Settled = tuple[ItemState, str]  # state, output


class Outcomes(dict[Place, Settled]):
    """The outcome of each settled item. Change it by `put` and `keep` only.

    `bytes` is the metric of that name by stage: each success reports the length of its output.
    """

    def __init__(self, stages: int) -> None:
        super().__init__()
        self.bytes = [0] * stages
        self._tallies = [dict.fromkeys(ItemState, 0) for _ in range(stages)]

    def put(self, place: Place, state: ItemState, output: str) -> None:
        """Settle the item, or change its outcome."""
        self._measure(place, -1)
        self[place] = (state, output)
        self._measure(place, 1)

    def keep(self, which: Callable[[Place, ItemState], bool]) -> None:
        """Reopen all others."""
        for place, (state, _) in list(self.items()):
            if not which(place, state):
                self._measure(place, -1)
                del self[place]

    def counts(self) -> list[dict[str, int]]:
        """By stage; what did not succeed is skipped in all later stages."""
        counted, skipped = [], 0
        for tally in self._tallies:
            row = {name: tally[ItemState[name.upper()]] for name in COUNTS}
            row["skipped"] = skipped
            counted.append(row)
            skipped += row["failed"] + row["lost"]
        return counted

    def _measure(self, place: Place, sign: int) -> None:
        if place not in self:
            return
        state, output = self[place]
        self._tallies[place[0]][state] += sign
        self.bytes[place[0]] += sign * len(output)

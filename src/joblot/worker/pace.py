"""How many items to claim: as many as take about a second, so that no worker hoards the rest."""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_OF_NEWEST = 0.3


@dataclass(slots=True)
class Pace:
    """The seconds an item takes, smoothed; nothing is known before the first."""

    aim_seconds: float
    items_min: int
    items_max: int
    _item_seconds: float | None = None

    def measure(self, items: int, seconds: float) -> None:
        newest = seconds / items
        before = newest if self._item_seconds is None else self._item_seconds
        self._item_seconds = before + WEIGHT_OF_NEWEST * (newest - before)

    def limit(self) -> int:
        """A multiple of `items_min`, between it and `items_max`."""
        if self._item_seconds is None:
            return self.items_min
        fitting = int(self.aim_seconds / max(self._item_seconds, 1e-9))
        fitting -= fitting % self.items_min
        return max(self.items_min, min(fitting, self.items_max))

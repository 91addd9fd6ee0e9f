"""How many items to claim: as many as take about a second, so that no worker hoards the rest."""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_OF_NEWEST = 0.3
CLAIM_BYTES_AIM = 16_777_216  # of the payloads and inputs of one lease


@dataclass(slots=True)
class Pace:
    """Seconds and bytes per item, smoothed; unknown before the first measurement."""

    aim_seconds: float
    items_min: int
    items_max: int
    _item_seconds: float | None = None
    _item_bytes: float | None = None

    def measure(self, items: int, seconds: float) -> None:
        self._item_seconds = _smoothed(self._item_seconds, seconds / items)

    def weigh(self, items: int, size: int) -> None:
        """A lease's `items` items have `size` bytes in total."""
        self._item_bytes = _smoothed(self._item_bytes, size / items)

    def call_seconds(self) -> float | None:
        """How long a call of `items_min` items takes."""
        return None if self._item_seconds is None else self._item_seconds * self.items_min

    def limit(self) -> int:
        """A multiple of `items_min`, between it and `items_max`; less if items are very large."""
        if self._item_seconds is None:
            return self.items_min
        fitting = int(self.aim_seconds / max(self._item_seconds, 1e-9))
        fitting -= fitting % self.items_min
        return min(max(self.items_min, min(fitting, self.items_max)), self._light_enough())

    def _light_enough(self) -> int:
        return max(1, int(CLAIM_BYTES_AIM / max(self._item_bytes or 0.0, 1.0)))


def _smoothed(before: float | None, newest: float) -> float:
    return newest if before is None else before + WEIGHT_OF_NEWEST * (newest - before)

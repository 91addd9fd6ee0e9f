"""When failures halt a run: the limits of its policy, and from where their counting begins. Pure.

A resume and a retry within the run begin the count again: the person who asked for them has seen
the failures until then. So a halted job that is resumed is not halted at once by its next failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Self

BEGINNINGS = ("started", "resumed", "reopened")  # events that carry `tried`, as in `Tried.listed`


class Tried(NamedTuple):
    """The items of a stage that workers have ended: those given up, and all of them."""

    given_up: int
    items: int

    def since(self, before: Tried) -> Tried:
        """What came later. Items that were reopened since then are not less than none."""
        return Tried(*(max(0, now - then) for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class HaltLimit:
    """A setting of the policy that is exceeded, and its value."""

    setting: str
    allowed: float


@dataclass(frozen=True, slots=True)
class Halting:
    """The part of a policy that halts a job."""

    failed_items: int | None
    failed_share: float | None
    tried_items_min: int
    cancels: bool

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Self | None:
        """None if the policy halts nothing."""
        items, share = policy.get("halt_failed_items"), policy.get("halt_failed_share")
        if items is None and share is None:
            return None
        return cls(items, share, policy["halt_tried_items_min"], policy["halt_action"] == "cancel")

    def exceeded(self, stages: Sequence[Tried]) -> HaltLimit | None:
        items, share = self.failed_items, self.failed_share
        if items is not None and sum(stage.given_up for stage in stages) > items:
            return HaltLimit("halt_failed_items", items)
        if share is not None and any(self._is_above(share, stage) for stage in stages):
            return HaltLimit("halt_failed_share", share)
        return None

    def exceeded_since(self, stages: Sequence[Tried], before: Sequence[Tried]) -> HaltLimit | None:
        """The limit that is exceeded by the whole run, and by what came since `before`."""
        if not before or self.exceeded(stages) is None:
            return self.exceeded(stages)
        return self.exceeded([now.since(then) for now, then in zip(stages, before, strict=True)])

    def _is_above(self, share: float, stage: Tried) -> bool:
        return stage.items >= self.tried_items_min and Fraction(
            stage.given_up, stage.items
        ) > Fraction(str(share))

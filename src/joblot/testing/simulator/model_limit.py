"""The limits of one pipeline in the model: what a claim may grant now, and what it must grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PERIODS = (10, 5, 2)  # seconds; these divide 60, so that the ledger's slots are exact


@dataclass
class Granted:
    """Items that were granted while there was a rate limit."""

    items: int
    # When they were granted, by the clock; None once no period can contain that time.
    at: int | None
    # The time from which the ledger counts them: later than `at` if the period was edited or the
    # clock was set back. None until the next claim decides it.
    counts_from: int | None


@dataclass
class ModelLimit:
    in_flight_items_max: int | None = None
    rate_items_max: int | None = None
    rate_seconds: int = 60
    granted: list[Granted] = field(default_factory=list)

    @property
    def policy(self) -> dict[str, int | None]:
        names = ("in_flight_items_max", "rate_items_max", "rate_seconds")
        return {name: getattr(self, name) for name in names}

    def edited(self, changes: Mapping[str, int | None]) -> dict[str, int | None]:
        return {**self.policy, **changes}

    def edit(self, changes: Mapping[str, int | None], now: int) -> None:
        before = self.rate_seconds
        for name, value in changes.items():
            setattr(self, name, value)
        if self.rate_seconds == before:
            return
        for one in self.granted:
            one.at = one.at if one.at is not None and one.at > now - before else None
            one.counts_from = None
        self.granted = [one for one in self.granted if self._may_count(one, now)]

    def grant(self, items: int, now: int) -> None:
        if self.rate_items_max is not None:
            self._count_from(now)
            self.granted = [one for one in self.granted if self._may_count(one, now)]
            self.granted.append(Granted(items, now, now))

    def refuse(self, in_flight: int, now: int) -> None:
        """Note a claim that got nothing though items were ready, with at most `in_flight` items.

        If the rate was the reason, the ledger has noted which items count from now on.
        """
        is_below = self.in_flight_items_max is None or in_flight < self.in_flight_items_max
        if is_below and self.rate_items_max is not None:
            self._count_from(now)

    def set_clock_back(self, now: int) -> None:
        """Note that the clock was set back: no period contains the earlier grants' times any more.

        The ledger may still count these grants.
        """
        for one in self.granted:
            is_ahead = one.counts_from is not None and one.counts_from > now
            one.at, one.counts_from = None, None if is_ahead else one.counts_from

    def excess(self, in_flight: int, now: int) -> str:
        """How the last grant exceeds a limit, or ""; with it, at least `in_flight` items are."""
        if self.in_flight_items_max is not None and in_flight > self.in_flight_items_max:
            return f"{in_flight} items in flight, not {self.in_flight_items_max}"
        if self.rate_items_max is None:
            return ""
        since = now - self.rate_seconds
        lately = sum(one.items for one in self.granted if one.at is not None and one.at > since)
        if lately > self.rate_items_max:
            return f"{lately} items in {self.rate_seconds} s, not {self.rate_items_max}"
        return ""

    def must_grant(self, in_flight: int, now: int) -> bool:
        """Whether the limits allow one more item while at most `in_flight` are in flight."""
        if self.in_flight_items_max is not None and in_flight >= self.in_flight_items_max:
            return False
        if self.rate_items_max is None:
            return True
        return (
            sum(one.items for one in self.granted if self._counts(one, now)) < self.rate_items_max
        )

    def _counts(self, one: Granted, now: int) -> bool:
        return one.counts_from is None or one.counts_from >= now - self.rate_seconds

    def _may_count(self, one: Granted, now: int) -> bool:
        """Whether it counts now, or may count after the period is edited."""
        return one.counts_from is None or one.counts_from >= now - max(PERIODS)

    def _count_from(self, now: int) -> None:
        for one in self.granted:
            one.counts_from = now if one.counts_from is None else one.counts_from

"""How a job is judged and how long it waits, and the limits of a pipeline, with units in the names.

A policy belongs to a job: `submit(policy={...})` overrides the installation's default for that job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from joblot.errors import InvalidPolicy
from joblot.shown import shown

HALT_ACTIONS = ("pause", "cancel")

# The settings of a policy that may be None, and count items; with the least value of each.
_COUNTS: Mapping[str, int] = {
    "in_flight_items_max": 1,
    "rate_items_max": 1,
    "alert_failed_items": 0,
    "halt_failed_items": 0,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How one job is judged, and how long it waits."""

    failure_threshold: float = 0.5  # share of items (0 to 1) above which the job is a FAILURE
    failures_max: int = 3  # reported failures of an item in a stage; the last one is final
    expiries_max: int = 5  # expired leases of an item alone; after the last one it is lost
    lease_seconds: float = 300.0  # how long a claim lasts without being renewed
    retry_backoff_seconds: float = 1.0  # wait after the first failure; doubles with each
    retry_backoff_seconds_max: float = 600.0
    cancel_grace_seconds: float = 10.0  # how long a cancel waits for the leases in flight
    in_flight_items_max: int | None = None  # in live leases; one claim may exceed it
    rate_items_max: int | None = None  # granted in any `rate_seconds`, over all workers
    rate_seconds: float = 60.0
    alert_failed_items: int | None = None  # failed and lost; one more writes the event "failing"
    halt_failed_items: int | None = None  # failed and lost; one more halts the job
    halt_failed_share: float | None = None  # of what a stage has tried; a larger one halts the job
    halt_tried_items_min: int = 20  # in the stage, before its share counts
    halt_action: str = "pause"  # what a halt does to the job: "pause" or "cancel"

    def __post_init__(self) -> None:
        _bounded(0, 1, {"failure_threshold": self.failure_threshold})
        _bounded(1, 1000, {"failures_max": self.failures_max, "expiries_max": self.expiries_max})
        _bounded(0.001, 7 * 86_400, {"lease_seconds": self.lease_seconds})
        _bounded(1, 86_400, {"rate_seconds": self.rate_seconds})
        _bounded(
            0,
            7 * 86_400,
            {
                "retry_backoff_seconds": self.retry_backoff_seconds,
                "retry_backoff_seconds_max": self.retry_backoff_seconds_max,
                "cancel_grace_seconds": self.cancel_grace_seconds,
            },
        )
        if self.halt_failed_share is not None:
            _bounded(0, 1, {"halt_failed_share": self.halt_failed_share})
        if self.halt_action not in HALT_ACTIONS:
            raise InvalidPolicy(
                f"halt_action: expected {' or '.join(HALT_ACTIONS)}, got {shown(self.halt_action)}"
            )
        _bounded(1, 2**31 - 1, {"halt_tried_items_min": self.halt_tried_items_min})
        whole = ["failures_max", "expiries_max", "halt_tried_items_min"]
        for name, least in _COUNTS.items():
            if (given := getattr(self, name)) is not None:
                _bounded(least, 2**31 - 1, {name: given})
                whole.append(name)
        _require_whole(self, whole)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None, default: Policy | None = None) -> Self | Policy:
        """`default` with the values of `given`. Raises InvalidPolicy for an unknown name."""
        return replace(default or cls(), **_known(cls, given or {}))

    @property
    def halts(self) -> bool:
        """True if failures can halt the job."""
        return self.halt_failed_items is not None or self.halt_failed_share is not None

    def backoff_seconds(self, failures: int) -> float:
        """How long an item waits after its `failures`-th reported failure (1, 2, …)."""
        return doubled(
            self.retry_backoff_seconds, failures - 1, most=self.retry_backoff_seconds_max
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PipelinePolicy:
    """The limits of a pipeline, over all of its jobs and all workers."""

    in_flight_items_max: int | None = None  # in live leases
    rate_items_max: int | None = None  # granted in any `rate_seconds`
    rate_seconds: float = 60.0

    def __post_init__(self) -> None:
        counts = ("in_flight_items_max", "rate_items_max")
        given = {name: getattr(self, name) for name in counts if getattr(self, name) is not None}
        _bounded(1, 2**31 - 1, given)
        _bounded(1, 86_400, {"rate_seconds": self.rate_seconds})
        _require_whole(self, given)

    def edited(self, changes: Mapping[str, Any]) -> Self:
        """This one with what changes; None removes a limit. Raises InvalidPolicy."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self)}
        given = _known(type(self), changes)
        chosen = {name: defaults[name] if v is None else v for name, v in given.items()}
        return replace(self, **chosen)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _bounded(low: float, high: float, names: Mapping[str, float]) -> None:
    for name, value in names.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidPolicy(f"{name}: expected a number, got {shown(value)}")
        if not low <= value <= high:
            raise InvalidPolicy(f"{name}: expected {low:g} to {high:g}, got {shown(value)}")


def doubled(seconds: float, times: int, *, most: float) -> float:
    """A back-off: `seconds` doubled so often, and no longer than `most` seconds."""
    return min(seconds * 2.0 ** min(times, 32), most)


def _require_whole(policy: Policy | PipelinePolicy, names: Iterable[str]) -> None:
    for name in names:
        if not isinstance(getattr(policy, name), int):
            raise InvalidPolicy(f"{name}: expected a whole number")


def _known(cls: type, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """`given`, if these are names of its fields. Raises InvalidPolicy."""
    known = {field.name for field in fields(cls)}
    if unknown := sorted(set(given) - known):
        raise InvalidPolicy(
            f"unknown policy {', '.join(unknown):.200}; known are {', '.join(sorted(known))}"
        )
    return given

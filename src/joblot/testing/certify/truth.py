"""The storm's items, what its workers do with them, and the results that must follow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from secrets import token_hex
from typing import Any

from joblot.testing.crew.rough import Handler
from joblot.wire import ClaimedItem, Result, failure, success

PROJECT = "joblot-certify"
BAD_PERCENT, FLAKY_PERCENT = 2, 5
ITEMS_MIN, ITEMS_MAX = 50, 1_000_000

POLICY = {
    "lease_seconds": 2.0,
    "retry_backoff_seconds": 0.1,
    "failure_threshold": 1.0,
    "expiries_max": 1_000,  # a killed worker must not count against its items
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of the storm; `seed` decides which items fail and which workers are killed."""

    items: int = 2_000
    workers: int = 4
    kills: int = 5
    seed: int = 1
    tag: str = field(default_factory=lambda: token_hex(4))  # so that no other worker serves the job

    @property
    def pipelines(self) -> tuple[str, str]:
        return f"{PROJECT}-{self.tag}-digest", f"{PROJECT}-{self.tag}-confirm"

    @property
    def stages(self) -> list[dict[str, str]]:
        first, second = self.pipelines
        return [{"name": "digest", "pipeline": first}, {"name": "confirm", "pipeline": second}]

    def fates(self) -> list[str]:
        """The fate of each item: most are good, some bad, some fail on the first attempt."""
        bad, flaky = (self.items * percent // 100 for percent in (BAD_PERCENT, FLAKY_PERCENT))
        fates = ["bad"] * bad + ["flaky"] * flaky + ["good"] * (self.items - bad - flaky)
        Random(f"{self.seed} fates").shuffle(fates)
        return fates

    def portion(self, fates: list[str], place: int) -> Iterator[dict[str, Any]]:
        """The items of one portion; there is one more portion than there are kills."""
        portions = self.kills + 1
        first, end = (self.items * n // portions for n in (place, place + 1))
        for n in range(first, end):
            yield {"key": f"item-{n}", "payload": {"n": n, "fate": fates[n], "seed": self.seed}}

    def expected(self, fates: list[str]) -> list[dict[str, Any]]:
        """The counts and sums of both stages."""
        good = [n for n, fate in enumerate(fates) if fate != "bad"]
        bad = len(fates) - len(good)
        nothing = {"failed": 0, "lost": 0, "skipped": 0}
        return [
            {**nothing, "succeeded": len(good), "failed": bad, "units": sum(map(units, good))},
            {**nothing, "succeeded": len(good), "skipped": bad, "units": len(good)},
        ]


def handlers(pipelines: tuple[str, str]) -> Mapping[str, Handler]:
    """The handlers of a worker, by pipeline."""
    return dict(zip(pipelines, (_digest, _confirm), strict=True))


def units(n: int) -> int:
    return n % 7


def _digest(item: ClaimedItem) -> Result:
    if item.payload["fate"] == "bad":
        return failure(item.id, "Bad", "an item that always fails")
    if item.payload["fate"] == "flaky" and item.attempt == 1:
        return failure(item.id, "Flaky", "an item that fails once", retryable=True)
    n = item.payload["n"]
    return success(item.id, {"digest": digest(item)}, {"units": units(n)})


def _confirm(item: ClaimedItem) -> Result:
    """The previous stage's output must arrive as it was reported."""
    if item.input != {"digest": digest(item)}:
        return failure(item.id, "WrongInput", f"got {item.input!r:.200}")
    return success(item.id, None, {"units": 1})


def digest(item: ClaimedItem) -> str:
    text = f"{item.payload['seed']} {item.payload['n']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]

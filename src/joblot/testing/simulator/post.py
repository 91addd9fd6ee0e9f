"""What a worker computed, on its way to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joblot.states import ReportedOutcome
from joblot.testing.simulator.model_receipts import BUSY, REFUSED, Given
from joblot.wire import failure, success

# Successes first: 0 is the simplest. "unknown" is an item that the lease was not granted.
KINDS = ("a", "bb", "bad", "again", REFUSED, BUSY, "unknown")
WEIGHTS = (70, 6, 6, 10, 4, 3, 1)


@dataclass(frozen=True, slots=True)
class Post:
    """Results on their way to the ledger."""

    job_id: int
    token: str
    given: tuple[Given, ...]

    def results(self) -> list[Any]:
        return [
            success(number, output, {"bytes": len(output)})
            if outcome is ReportedOutcome.SUCCEEDED
            else failure(number, ("Bad", "Worse")[number % 2], retryable=retryable)
            for number, outcome, output, retryable in self.given
        ]


def given_of(number: int, kind: str) -> Given:
    if kind in ("bad", "again"):
        return number, ReportedOutcome.FAILED, "", kind == "again"
    if kind == "unknown":
        return 10**6, ReportedOutcome.SUCCEEDED, "a", False
    return number, ReportedOutcome.SUCCEEDED, kind, False


def shown_given(given: tuple[Given, ...]) -> str:
    words = [
        f"{n} {output or ('again' if retryable else 'bad')}" for n, _, output, retryable in given
    ]
    return f"[{', '.join(words[:8])}{' …' if len(words) > 8 else ''}]"


def shown(numbers: list[int]) -> str:
    first = ", ".join(map(str, numbers[:8]))
    return f"items {first}{' …' if len(numbers) > 8 else ''}"

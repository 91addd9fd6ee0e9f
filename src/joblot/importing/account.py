"""What an import has done, and what it could not take over: every number adds up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_MAX = 5

WHY = {
    "counted_without_result": "counted by the JSON without a result; they are worked again",
    "unknown_item": "results for keys that are no items of the job",
    "repeated": "further results for an item that has one",
    "conflicting": "results that differ from what the ledger has",
    "not_storable": "results that joblot can't store; the items are worked again",
    "too_late": "results for items of a job that has ended",
}


@dataclass(slots=True)
class StageAccount:
    """A stage: `results` = `recorded` + `already` + all of `not_taken` that are results.

    `blob` is what the JSON counts. `implied` are successes without a result of their own, of items
    that a later stage has settled.
    """

    name: str
    blob: dict[str, int] = field(default_factory=dict)
    results: int = 0
    succeeded: int = 0
    failed: int = 0
    implied: int = 0
    recorded: int = 0
    already: int = 0
    not_taken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, key: str, count: int = 1) -> None:
        """Note that a result is not taken over."""
        self.not_taken[reason] += count
        known = self.examples.setdefault(reason, [])
        if len(known) < EXAMPLES_MAX:
            known.append(key)

    def compare(self) -> None:
        """Note what the JSON has counted and nobody has stored."""
        for outcome, found in (("succeeded", self.succeeded), ("failed", self.failed)):
            if (missing := self.blob.get(outcome, 0) - found) > 0:
                self.not_taken["counted_without_result"] += missing

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "blob": dict(self.blob),
            "results": self.results,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "implied": self.implied,
            "recorded": self.recorded,
            "already": self.already,
            "not_taken": [
                {"reason": reason, "count": count, "examples": self.examples.get(reason, [])}
                for reason, count in sorted(self.not_taken.items())
            ],
        }


@dataclass(slots=True)
class JobAccount:
    """A job. `done` says what the import has done with it, or would do.

    `job_id` is None before the first import; `error` is set if the job could not be moved at all.
    """

    old: str
    name: str
    job_id: int | None = None
    done: str = "filled"  # filled, started, running, ended, failed
    items: int = 0
    added: int = 0
    stages: list[StageAccount] = field(default_factory=list)
    error: str = ""

    @property
    def is_complete(self) -> bool:
        """Everything that the old system has counted is in the ledger."""
        return not self.error and not any(stage.not_taken for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        return {
            "old": self.old,
            "name": self.name,
            "job": self.job_id,
            "done": self.done,
            "items": self.items,
            "added": self.added,
            "stages": [stage.as_json() for stage in self.stages],
            "complete": self.is_complete,
            "error": self.error,
        }

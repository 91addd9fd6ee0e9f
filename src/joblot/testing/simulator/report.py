"""What a simulation returns, and what it raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN_LINES_MAX = 60


@dataclass(frozen=True, slots=True)
class Report:
    """A simulation in which every check held.

    `figures` count what happened ("calls", "killed", "cut", "lost", "away", "died", "leases",
    "results", "posted again", "limits edited", "refused for a limit", "audits"), `receipts` the
    receipts by kind.
    """

    seed: int
    database: str
    steps: int
    seconds: float
    jobs: int
    items: int
    figures: Mapping[str, int]
    receipts: Mapping[str, int]

    def __str__(self) -> str:
        troubles = [f"{self.figures.get(kind, 0):,} {kind}" for kind in _TROUBLES]
        receipts = [f"{count:,} {name}" for name, count in sorted(self.receipts.items())]
        edits = self.figures.get("limits edited", 0)
        lines = [
            f"seed {self.seed} on {self.database}, {self.steps:,} steps ({self.seconds:.1f} s):",
            f"  {self.jobs:,} jobs, {self.items:,} items, all exact",
            f"  of {self.figures.get('calls', 0):,} calls: {', '.join(troubles)}",
            f"  receipts: {', '.join(receipts) or 'none'}",
            f"  {self.figures.get('posted again', 0):,} results were posted again",
            f"  limits: {edits:,} edits, {self.figures.get('refused for a limit', 0):,} refusals",
            f"  {self.figures.get('audits', 0):,} full audits",
        ]
        return "\n".join(lines)


_TROUBLES = ("killed", "cut", "lost", "away")


class SimulationFailed(AssertionError):
    """A check failed; `replay` is the smallest failing history found."""

    def __init__(
        self, seed: int, what: str, replay: str, story: Sequence[str], steps: tuple[int, int]
    ) -> None:
        shown = list(story[-SHOWN_LINES_MAX:])
        if len(story) > SHOWN_LINES_MAX:
            shown.insert(0, f"… {len(story) - SHOWN_LINES_MAX} lines before")
        text = [
            f"seed {seed}: {what}",
            f"shrunk from {steps[0]} steps to {steps[1]}:",
            *(f"  {line}" for line in shown),
            f'again: simulate(seed={seed}, replay="{replay}")',
        ]
        super().__init__("\n".join(text))
        self.seed = seed
        self.what = what
        self.replay = replay
        self.story = list(story)
        self.steps = steps  # before, after

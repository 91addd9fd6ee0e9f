"""The result of an exploration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from joblot.testing.interleave.errors import ScheduleFailed
from joblot.testing.interleave.schedule import Schedule, table
from joblot.testing.interleave.statement import first_line


@dataclass(slots=True)
class Report:
    """What was tried.

    `schedules`: how many ran. `exhaustive`: no other schedules exist. `switches`: all schedules
    with up to this many switches, kills and early releases were tried (None: not even all of those
    without any). `sampled`: how many were drawn at random, from `seed`. `waits`: how often an
    operation waited for a lock. `deadlocks`: how often the database broke one. `strayed`:
    schedules that departed from their plan because the operations or the database did not behave
    the same way twice. `outcomes`: how often each combination of outcomes occurred, for example
    `A: returned 1, B: killed`.
    """

    schedules: int = 0
    failures: int = 0
    exhaustive: bool = False
    switches: int | None = None
    sampled: int = 0
    seed: int | None = None
    waits: int = 0
    deadlocks: int = 0
    strayed: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, schedule: Schedule) -> None:
        self.schedules += 1
        self.failures += schedule.problem is not None
        self.waits += schedule.waits
        self.deadlocks += schedule.deadlocks
        self.strayed += schedule.strayed
        ends = (f"{name}: {outcome}" for name, outcome in schedule.outcomes.items())
        self.outcomes[", ".join(ends)] += 1

    def __str__(self) -> str:
        parts = [f"{self.schedules} schedules in {self.seconds:.1f} s"]
        if self.exhaustive:
            parts.append("every order")
        elif self.switches is not None:
            parts.append(f"every order with up to {self.switches} switches")
        if self.sampled:
            parts.append(f"{self.sampled} at random (seed={self.seed})")
        parts.append(f"{self.waits} waits, {self.deadlocks} deadlocks")
        return "; ".join(parts)


def failure(report: Report, schedule: Schedule, names: Sequence[str]) -> ScheduleFailed:
    """Return the smallest failing schedule as an error to raise."""
    problem = schedule.problem
    what = first_line(problem).removeprefix("AssertionError: ") if problem else ""
    what = "the check fails" if what == "AssertionError" else what
    share = f"{report.failures} of {report.schedules} schedules fail; the smallest"
    lines = [f"{what} ({share})" if report.schedules > 1 else what]
    lines.append(table(schedule, names))
    lines += [f"  {name} {outcome}" for name, outcome in schedule.outcomes.items() if outcome.error]
    lines.append(f'replay="{schedule.taken}"' + (f", seed={report.seed}" if report.sampled else ""))
    error = ScheduleFailed("\n".join(lines), schedule.taken)
    error.__cause__ = problem
    return error

"""What a page says of a job in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joblot.shown import counted
from joblot.states import JobStatus

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a change."""

    title: str
    happens: tuple[str, ...]  # sentences
    verb: str  # on the button
    is_danger: bool = False  # it can't be undone


def in_flight(job: Json) -> int:
    return sum(int(stage["in_flight"]) for stage in job["stages"])


def standing(job: Json) -> str:
    """Behind the word for the status: `620,000 of 1,000,000 settled, 2,793 not well`."""
    stages = job["stages"]
    settled = min(settled_of(stage) for stage in stages)
    not_well = sum(stage["failed"] + stage["lost"] for stage in stages)
    text = f"{settled:,} of {of(job)} settled"
    if not_well:
        text += f", {not_well:,} not well"
    if job["status"] == JobStatus.REVOKED:
        text += f", {stages[0]['total'] - settled_of(stages[0]):,} not begun or not finished"
    return text


def of(job: Json) -> str:
    """How many items there are: `1,000,000`, or at least so many while more can be added."""
    return f"{at_least(job)}{job['total']:,}"


def at_least(job: Json) -> str:
    return "" if job["sealed"] else "at least "


def done_in(eta: Json) -> str:
    """The estimate; beside it the page shows the moments."""
    return "" if eta["kind"] == "ended" else str(eta["text"])


def basis(eta: Json) -> str:
    """What an estimate is made from."""
    if eta["items_per_second"] is None:
        return ""
    rate = eta["items_per_second"]
    shown = f"{rate:,.1f} results/s" if rate >= 1 else f"{rate * 60:,.1f} results/min"
    return f"From the last 15 min: {shown}, {counted(eta['workers'], 'worker')}"


def share(part: int, whole: int) -> str:
    """In percent, rounded down; what there is, is never 0 %."""
    percent = part * 100 // max(1, whole)
    return f"{percent} %" if percent or not part else "under 1 %"


def settled_of(stage: Json) -> int:
    """How many items of a stage have an outcome there, or never reach it."""
    return sum(int(stage[part]) for part in ("succeeded", "failed", "lost", "skipped"))


def settled_in(job: Json) -> int:
    """The same, over all stages of a job."""
    return sum(map(settled_of, job["stages"]))

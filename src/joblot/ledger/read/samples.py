"""A run's course: its samples, when it was paused, and what was settled by any moment of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.sampling import SAMPLE_SECONDS
from joblot.models import Event, Sample


@dataclass(frozen=True, slots=True)
class Point:
    """What was settled by `at`: succeeded, given up and skipped, for each stage."""

    at: float  # seconds since 1970
    stages: tuple[tuple[int, int, int], ...]
    workers: int


@dataclass(frozen=True, slots=True)
class Course:
    """A run from its first sample to the present, or to its end."""

    points: tuple[Point, ...]  # by time
    pauses: tuple[tuple[float, float], ...]  # from, to

    def settled(self, stage: int, at: float) -> float:
        """Items settled in a stage by then, between two samples in proportion to the time."""
        return sum(self.counts(stage, at))

    def counts(self, stage: int, at: float) -> tuple[float, float, float]:
        """Succeeded, given up and skipped by then. While the run is paused, nothing is spread."""
        position = bisect_right(self.points, at, key=lambda point: point.at)
        if position == 0:
            return self.points[0].stages[stage]
        before = self.points[position - 1]
        if position == len(self.points):
            return before.stages[stage]
        behind = self.points[position]
        whole = self.active(before.at, behind.at) or 1.0
        share = self.active(before.at, at) / whole
        first, second, third = (
            a + (b - a) * share
            for a, b in zip(before.stages[stage], behind.stages[stage], strict=True)
        )
        return first, second, third

    def workers(self, at: float) -> int:
        """Workers with a lease at the last sample by then."""
        position = bisect_right(self.points, at, key=lambda point: point.at)
        return self.points[max(0, position - 1)].workers

    def active(self, first: float, last: float) -> float:
        """The seconds between two moments in which the run was not paused."""
        paused = (min(last, end) - max(first, begin) for begin, end in self.pauses)
        return last - first - sum(one for one in paused if one > 0)

    def before(self, at: float, active_seconds: float) -> float:
        """The moment so many seconds earlier, pauses not counted."""
        left = active_seconds
        for begin, end in reversed(self.pauses):
            if begin >= at:
                continue
            running = at - end
            if running >= left:
                break
            left, at = left - max(0.0, running), min(begin, at)
        return at - left


def course(job: dict[str, Any]) -> Course:
    """The course of the job's run; `job` is its `progress`, read in the same snapshot."""
    rows = Sample.ledger.using(alias()).filter(job_id=job["id"], run=job["run"])
    rows = rows.order_by("-tick")[: limits().page_items_max]
    points = [Point(row.at.timestamp(), tuple(map(tuple, row.stages)), row.workers) for row in rows]
    ends_at = _seconds(job["finished_at"] or job["as_of"])
    points = sorted((one for one in points if one.at < ends_at), key=lambda one: one.at)
    if job["started_at"] and job["run"] == 1:
        # Of a later run it is not known what had been settled in each stage before it began.
        points.insert(0, Point(_seconds(job["started_at"]), ((0, 0, 0),) * len(job["stages"]), 0))
    now = tuple(
        (stage["succeeded"], stage["failed"] + stage["lost"], stage["skipped"])
        for stage in job["stages"]
    )
    points.append(Point(ends_at, now, points[-1].workers if points else 0))
    return Course(tuple(points), tuple(_pauses(job["id"], job["run"], ends_at)))


def buckets(run: Course, stage: int, last: float, most: int) -> list[float]:
    """What was settled in each of the last intervals of `SAMPLE_SECONDS`, oldest first."""
    begins = run.points[0].at
    edges = [last]
    while len(edges) <= most:
        edge = run.before(edges[-1], SAMPLE_SECONDS)
        if edge < begins - SAMPLE_SECONDS / 2:
            break
        edges.append(edge)
    settled = [run.settled(stage, edge) for edge in reversed(edges)]
    return [max(0.0, b - a) for a, b in pairwise(settled)]


def _pauses(job_id: int, run: int, until: float) -> list[tuple[float, float]]:
    rows = Event.ledger.using(alias()).filter(
        job_id=job_id, run=run, kind__in=("paused", "halted", "resumed")
    )
    found: list[tuple[float, float]] = []
    began: float | None = None
    for kind, at in _in_order(rows.order_by("-pk")[: limits().page_items_max]):
        if kind != "resumed":
            began = at if began is None else began
        elif began is not None:
            found.append((began, at))
            began = None
    return found if began is None else [*found, (began, max(began, until))]


def _in_order(rows: Any) -> Sequence[tuple[str, float]]:
    return [(row.kind, row.at.timestamp()) for row in rows][::-1]


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()

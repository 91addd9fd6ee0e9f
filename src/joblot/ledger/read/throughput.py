"""Throughput: what was settled in each part of a window, with the workers and the pauses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.progress import progress
from joblot.ledger.read.samples import Course, course
from joblot.shown import shown

BUCKETS = 60
WINDOWS = {"15m": 900.0, "1h": 3_600.0, "6h": 21_600.0, "run": None}


@repeated
@one_snapshot()
def throughput(job_id: int, window: str = "15m") -> dict[str, Any]:
    """`{"as_of", "window", "seconds", "buckets": [{"at", "succeeded", "failed", "workers",
    "paused"}]}`: the last 15 minutes, hour or 6 hours of a run, or all of it, in 60 parts.

    Items are counted in every stage; `failed` includes lost ones, `seconds` is the length of a
    part. Between two samples items are spread evenly, so a single bucket is approximate and the sum
    is not. `paused` is true if the run was paused during most of the part. `buckets` is empty for a
    run that has not begun. Raises NotFound, InvalidInput.
    """
    return throughput_of(progress(job_id), window)


def throughput_of(job: dict[str, Any], window: str) -> dict[str, Any]:
    """The same of a job whose `progress` was read in this snapshot."""
    if window not in WINDOWS:
        known = ", ".join(WINDOWS)
        raise InvalidInput(f"window: expected one of {known}, got {shown(window)}")
    empty = {"as_of": job["as_of"], "window": window, "seconds": 0.0, "buckets": []}
    if job["started_at"] is None:
        return empty
    run = course(job)
    last = run.points[-1].at
    first = max(run.points[0].at, last - (WINDOWS[window] or float("inf")))
    if last <= first:
        return empty
    width = (last - first) / BUCKETS
    return empty | {"seconds": width, "buckets": _buckets(run, first, width)}


def _buckets(run: Course, first: float, width: float) -> list[dict[str, Any]]:
    edges = [first + n * width for n in range(BUCKETS)] + [run.points[-1].at]
    reached = [_settled(run, edge) for edge in edges]
    return [
        {
            "at": datetime.fromtimestamp(begin, UTC).isoformat(timespec="seconds"),
            "succeeded": max(0, after[0] - before[0]),
            "failed": max(0, after[1] - before[1]),
            "workers": run.workers(end),
            "paused": run.active(begin, end) < width / 2,
        }
        for begin, end, before, after in zip(edges, edges[1:], reached, reached[1:], strict=False)
    ]


def _settled(run: Course, at: float) -> tuple[int, int]:
    """Whole numbers of succeeded and failed items by then, so that the differences add up."""
    counts = [run.counts(stage, at) for stage in range(len(run.points[0].stages))]
    return round(sum(one[0] for one in counts)), round(sum(one[1] for one in counts))

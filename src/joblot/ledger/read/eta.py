"""When a job will be done: a range in words, or one sentence saying why there is none."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.forecast import Forecast, forecast
from joblot.ledger.read.progress import progress
from joblot.ledger.read.samples import Course, buckets, course
from joblot.ledger.rows.sampling import SAMPLE_SECONDS
from joblot.shown import counted
from joblot.states import TERMINAL, JobStatus

WINDOW_TICKS = 90  # 15 minutes
SETTLED_MIN = 100
SECONDS_MIN = 60.0
STILL_TICKS = 12  # without a result, and without an item in flight: the job does not move

Json = dict[str, Any]


@repeated
@one_snapshot()
def eta(job_id: int) -> Json:
    """`{"kind", "text", "p50", "p90", "p50_at", "p90_at", "items_per_second", "workers"}`.

    `kind` is `range` or `at_least` (the job still takes items), with seconds from `as_of` and the
    moments; or one of `ended`, `not_started`, `paused`, `canceling`, `all_settled`, `too_early` and
    `not_moving`,
    with null for all numbers; `text` is a sentence, empty for a job that has ended. The numbers
    change only with what is settled and with each new sample. Raises NotFound.
    """
    return eta_of(progress(job_id))


def eta_of(job: Json) -> Json:
    """The same of a job whose `progress` was read in this snapshot."""
    status = JobStatus(job["status"])
    if status in TERMINAL:
        return _none("ended", "")
    if status is JobStatus.CANCELING:
        return _none("canceling", "Being canceled")
    if status is JobStatus.PAUSED:
        return _none("paused", "Paused")
    if job["started_at"] is None:
        return _none("not_started", "Not started: no item was claimed yet")
    return _of_course(job, course(job))


def _of_course(job: Json, run: Course) -> Json:
    last, first = run.points[-1], run.points[0]
    settled = sum(map(sum, last.stages)) - sum(map(sum, first.stages))
    if (
        len(run.points) < 3
        or settled < SETTLED_MIN
        or run.active(_started(job), last.at) < SECONDS_MIN
    ):
        return _none("too_early", "Too early: under 100 settled or under 60 s")
    remaining = [job["total"] - sum(counts) for counts in last.stages]
    if not any(remaining):
        return _none("all_settled", "All that was added so far is settled")
    sampled = run.points[-2]  # the present is not a sample, and would change the answer each time
    stages = range(len(job["stages"]))
    history = [buckets(run, stage, sampled.at, WINDOW_TICKS) for stage in stages]
    if (still := _still(job, run, history)) is not None:
        return still
    found = forecast(history, remaining, SAMPLE_SECONDS, f"{job['id']}:{sampled.at}")
    if found is None or not math.isfinite(found.p50):
        waiting = next((n for n in stages if remaining[n] and not sum(history[n])), 0)
        name = job["stages"][waiting]["name"]
        return _none("too_early", f"Too early: hardly anything was settled in {name} lately")
    rate = sum(map(sum, history)) / (len(history[0]) * SAMPLE_SECONDS)
    return _range(job, found, rate, sampled.workers)


def _still(job: Json, run: Course, history: list[list[float]]) -> Json | None:
    """The sentence for a job in which nothing happens; None if something does."""
    recent = sum(sum(one[-STILL_TICKS:]) for one in history)
    if recent or any(stage["in_flight"] for stage in job["stages"]):
        return None
    last = run.points[-1]
    moved = next((one for one in reversed(run.points) if one.stages != last.stages), run.points[0])
    rate = sum(map(sum, moved.stages)) - sum(map(sum, run.points[0].stages))
    seconds = run.active(run.points[0].at, moved.at)
    left = job["total"] * len(last.stages) - sum(map(sum, last.stages))
    still = duration(last.at - moved.at)
    text = f"Not moving: nothing is in flight, and nothing was settled for {still}"
    if rate > 0 and seconds > 0:
        text += f"; would need about {duration(left * seconds / rate)} at the last rate"
    return _none("not_moving", text)


def _range(job: Json, found: Forecast, rate: float, workers: int) -> Json:
    now = datetime.fromisoformat(job["as_of"])
    p90 = found.p90 if math.isfinite(found.p90) else None
    text = f"Done in about {duration(found.p50)}"
    text += f"; 9 in 10 within {duration(p90)}" if p90 is not None else ""
    kind = "range"
    if not job["sealed"]:
        kind, text = "at_least", f"At least {duration(found.p50)}: still open"
    return {
        "kind": kind,
        "text": text,
        "p50": round(found.p50, 1),
        "p90": None if p90 is None else round(p90, 1),
        "p50_at": _after(now, found.p50),
        "p90_at": None if p90 is None else _after(now, p90),
        "items_per_second": round(rate, 2),
        "workers": workers,
    }


def _none(kind: str, text: str) -> Json:
    numbers = ("p50", "p90", "p50_at", "p90_at", "items_per_second", "workers")
    return {"kind": kind, "text": text} | dict.fromkeys(numbers)


def _after(now: datetime, seconds: float) -> str | None:
    try:
        return (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:
        return None


def _started(job: Json) -> float:
    return datetime.fromisoformat(job["started_at"]).timestamp()


def duration(seconds: float) -> str:
    """Rounded to a minute below an hour, to 5 minutes below 10 hours, else to an hour."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        minutes = 5 * round(minutes / 5)
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else counted(round(hours / 24), "day")

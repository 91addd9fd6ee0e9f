"""How fast the jobs of a list are, and when they will be done: of many jobs at a small cost.

From what was settled since the first sample of the last 15 minutes, stage by stage. The page of one
job draws its estimate from all samples of that time (`eta`), which is too much for a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection, repeated
from joblot.ledger.read.eta import SECONDS_MIN, SETTLED_MIN, WINDOW_TICKS
from joblot.ledger.rows.sampling import SAMPLE_SECONDS
from joblot.sentences import settled_of
from joblot.states import JobStatus

MOVING = frozenset({JobStatus.PENDING, JobStatus.STARTED})
SECONDS_FOR_A_RATE = 10.0  # shorter, and one report more or less would be a different rate
DEVIATIONS_P90 = 1.28

Job = dict[str, Any]  # as `progress` returns it


class Pace(NamedTuple):
    """Results per minute; and the moments by which half, and nine in ten, of such jobs are done.

    None for what is not known, as for a job that is paused or has ended.
    """

    per_minute: float | None = None
    p50_at: str | None = None
    p90_at: str | None = None


UNKNOWN = Pace()


class _Since(NamedTuple):
    """What was settled in each stage by a moment."""

    at: datetime
    settled: tuple[int, ...]


@repeated
def paces(jobs: Sequence[Job]) -> dict[int, Pace]:
    """By id, from one statement. A sample is never changed, so it need not be of the same snapshot
    as the progress of the jobs.
    """
    moving = [job for job in jobs if job["status"] in MOVING and job["started_at"]]
    since = _since(moving) if moving else {}
    known = {job["id"]: _pace(job, since[job["id"]]) for job in moving if job["id"] in since}
    return {job["id"]: known.get(job["id"], UNKNOWN) for job in jobs}


def _since(jobs: Sequence[Job]) -> dict[int, _Since]:
    """Where the last 15 minutes of each job begin; a first run may have begun later."""
    now = max(_at(job["as_of"]) for job in jobs).timestamp()
    tick = int(now // SAMPLE_SECONDS) - WINDOW_TICKS
    found = {job["id"]: _begun(job) for job in jobs if _is_new(job, tick * SAMPLE_SECONDS)}
    if older := [job["id"] for job in jobs if job["id"] not in found]:
        for job_id, at, stages in fetch(connection(), "read/first_samples", jobs=older, tick=tick):
            found[job_id] = _Since(moment(at), tuple(map(sum, json_value(stages))))
    return found


def _is_new(job: Job, seconds: float) -> bool:
    return bool(job["run"] == 1 and _at(job["started_at"]).timestamp() > seconds)


def _begun(job: Job) -> _Since:
    return _Since(_at(job["started_at"]), (0,) * len(job["stages"]))


def _pace(job: Job, since: _Since) -> Pace:
    now = _at(job["as_of"])
    elapsed = (now - since.at).total_seconds()
    if elapsed < SECONDS_FOR_A_RATE:
        return UNKNOWN
    settled = [settled_of(stage) for stage in job["stages"]]
    recent = [a - b for a, b in zip(settled, since.settled, strict=True)]
    per_minute = round(max(0, sum(recent)) / elapsed * 60, 1)
    if elapsed < SECONDS_MIN or sum(settled) < SETTLED_MIN:
        return Pace(per_minute)
    left = [job["total"] - count for count in settled]
    seconds = [_seconds(*one, elapsed) for one in zip(left, recent, strict=True)]
    p50, p90 = (_after(now, ends) for ends in zip(*seconds, strict=True))
    return Pace(per_minute, p50, p90) if p50 and p90 and any(left) else Pace(per_minute)


def _seconds(left: int, recent: int, elapsed: float) -> tuple[float, float]:
    """Until a stage is done, at half and at nine in ten; p90 allows for a rate that was measured on
    few items: by the standard deviation of a Poisson count.
    """
    if left <= 0:
        return 0.0, 0.0
    if recent <= 0:
        return math.inf, math.inf
    p50 = left * elapsed / recent
    return p50, p50 * (1 + DEVIATIONS_P90 / math.sqrt(recent))


def _after(now: datetime, seconds: Iterable[float]) -> str | None:
    """The last of the stages ends the job."""
    try:
        return (now + timedelta(seconds=max(seconds))).isoformat(timespec="seconds")
    except OverflowError:
        return None


def _at(iso: str) -> datetime:
    return datetime.fromisoformat(iso)

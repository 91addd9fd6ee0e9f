"""Progress: the current state of a job, derived from its row, its tallies and its live leases.

Reading never writes and never counts items. Each answer is one statement and so one snapshot.
Status and settled counts are exact; the split of open items into ready and in flight is momentary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from joblot.config import limits
from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection, repeated
from joblot.ledger.rows.due import SEEN_COLUMNS, Counts, JobSnapshot, decide, seen_of
from joblot.ledger.rows.job import unknown_job
from joblot.states import JobStatus


class _Row(NamedTuple):
    """The other columns of a row of progress.sql: a stage, and columns of its job."""

    id: int
    name: str
    project: str
    priority: int
    owner: str
    created_at: Any
    started_at: Any
    finished_at: Any
    pipeline: str
    late: int
    in_flight: int
    metrics: Any
    alerted: int | None
    begun: Any
    now: Any


@repeated
def progress(job_id: int) -> dict[str, Any]:
    """The job as JSON: status, counts per stage, percent, ETA. Raises NotFound.

    `percent` is rounded down, so that 100 means that everything is settled; for an unsealed job it
    refers to the items known so far. `finishing` is True after the last item is settled until the
    job is reconciled. `as_of` is the time of the snapshot, on the database's clock.
    """
    page = _read(job=job_id, limit=1)
    if not page:
        raise unknown_job(job_id)
    return page[0]


@repeated
def jobs(
    *,
    project: str | None = None,
    projects: Collection[str] | None = None,
    status: JobStatus | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """A page of jobs, newest first, each as returned by `progress`.

    Pass the last id as `before` to get the next page. `project` and `projects` both filter; None
    means all. A page is one snapshot.
    """
    return _read(
        before=before,
        status=None if status is None else status.value,
        project=project,
        projects=None if projects is None else json.dumps(sorted(projects)),
        limit=max(1, min(limit, limits().page_items_max)),
    )


def progress_of(job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Some jobs, each as returned by `progress`, in the order given; those that are gone are left
    out.
    """
    found = {job["id"]: job for job in _read(ids=list(job_ids), limit=len(job_ids))}
    return [found[job_id] for job_id in job_ids if job_id in found]


def _read(**asked: Any) -> list[dict[str, Any]]:
    rows = fetch(connection(), "read/progress", **asked)
    by_job = groupby(rows, key=lambda row: row[SEEN_COLUMNS])
    return [_described(job_id, list(of_job)) for job_id, of_job in by_job]


def _described(job_id: int, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    stages = [_Row(*row[SEEN_COLUMNS:]) for row in rows]
    job = stages[0]
    seen = seen_of(job_id, rows, alerted=job.alerted is not None)
    done = sum(counts.settled for counts in seen.stages)
    of = seen.total * len(stages)
    return {
        "id": job_id,
        "name": job.name,
        "project": job.project,
        "priority": job.priority,
        "owner": job.owner,
        "status": seen.status.value,
        "run": seen.run,
        "revision": seen.revision,
        "sealed": seen.sealed,
        "total": seen.total,
        "percent": percent(done, of, seen.status),
        "finishing": decide(seen) is not None,
        "stages": _stages(seen, stages),
        "finished_after_cancel": sum(int(stage.late) for stage in stages),
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
        "eta": _eta(job, done, of),
        "as_of": _iso(job.now),
    }


def percent(done: int, of: int, status: JobStatus) -> float:
    """Rounded down to hundredths: at most 99.99 until the last item is settled."""
    if of == 0:
        return 100.0 if status is JobStatus.SUCCESS else 0.0
    return math.floor(done * 10_000 / of) / 100


def _stages(seen: JobSnapshot, rows: list[_Row]) -> list[dict[str, Any]]:
    stages = []
    arrived = seen.total
    ended = seen.status is JobStatus.REVOKED
    for name, row, counts in zip(seen.names, rows, seen.stages, strict=True):
        here = arrived - (counts.settled - counts.skipped)
        flying = min(int(row.in_flight), here)
        stages.append(
            {
                "name": name,
                "pipeline": row.pipeline,
                "total": seen.total,
                "ready": 0 if ended else here - flying,
                "in_flight": 0 if ended else flying,
                **_settled(counts),
                "cancelled": seen.total - counts.settled if ended else 0,
                "metrics": json_value(row.metrics) or {},
            }
        )
        arrived = counts.succeeded
    return stages


def _settled(counts: Counts) -> dict[str, int]:
    return {
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "lost": counts.lost,
        "skipped": counts.skipped,
    }


def _eta(job: _Row, done: int, of: int) -> dict[str, float] | None:
    """Seconds until the end at the rate of this run so far; None while the rate is unknown.

    Items settled in earlier runs are ignored. p90 allows for a rate that was measured on few items:
    1.28 standard deviations of a Poisson count.
    """
    if job.started_at is None or job.finished_at is not None:
        return None
    settled = done - (json_value(job.begun) or {}).get("settled", 0)  # in this run
    elapsed = (moment(job.now) - moment(job.started_at)).total_seconds()
    if settled <= 0 or done >= of or elapsed < 0:
        return None
    p50 = (of - done) * elapsed / settled
    return {"p50": round(p50, 1), "p90": round(p50 * (1 + 1.28 / math.sqrt(settled)), 1)}


def _iso(value: datetime | str | None) -> str | None:
    return None if value is None else moment(value).isoformat()

"""Progress: what a job looks like now, derived from its row, its tallies and its live leases.

A read never writes and never counts items. Status and settled counts are exact; how the open
items split into ready and in flight is momentary.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.db.models.functions import Coalesce

from joblot import clock
from joblot.config import limits
from joblot.ledger.jobs import read_job, stages_of
from joblot.ledger.look import Counts, Seen, decide, read
from joblot.ledger.transactions import alias, repeated
from joblot.models import LIVE, Job, Lease, Metric, Tally
from joblot.states import JobStatus


@repeated
def progress(job_id: int) -> dict[str, Any]:
    """The job as JSON: status, counts per stage, percent, ETA. Raises NotFound.

    `percent` is rounded down, so that 100 means that everything is settled; of an open job it is
    of the items known so far. `finishing` is True between the last settled item and the look.
    """
    job = read_job(job_id)
    seen = read(job_id)
    assert seen is not None
    done = sum(stage.settled for stage in seen.stages)
    of = seen.total * len(seen.stages)
    return {
        "id": job.pk,
        "name": job.name,
        "project": job.project,
        "priority": job.priority,
        "status": seen.status.value,
        "run": seen.run,
        "revision": seen.revision,
        "sealed": seen.sealed,
        "total": seen.total,
        "percent": percent(done, of, seen.status),
        "finishing": decide(seen) is not None,
        "stages": _stages(seen),
        "finished_after_cancel": _late(job_id),
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
        "eta": _eta(job, done, of),
    }


def percent(done: int, of: int, status: JobStatus) -> float:
    """Rounded down to hundredths: 99.99 until the last one is settled."""
    if of == 0:
        return 100.0 if status is JobStatus.SUCCESS else 0.0
    return math.floor(done * 10_000 / of) / 100


def _stages(seen: Seen) -> list[dict[str, Any]]:
    in_flight = _in_flight(seen.job_id)
    metrics = _metrics(seen.job_id)
    stages = []
    arrived = seen.total
    for stage, counts in zip(stages_of(seen.job_id), seen.stages, strict=True):
        open_items = seen.total - counts.settled
        here = arrived - (counts.settled - counts.skipped)
        flying = min(in_flight.get(stage.position, 0), here)
        ended = seen.status is JobStatus.REVOKED
        stages.append(
            {
                "name": stage.name,
                "pipeline": stage.pipeline,
                "total": seen.total,
                "ready": 0 if ended else here - flying,
                "in_flight": 0 if ended else flying,
                **_settled(counts),
                "cancelled": open_items if ended else 0,
                "metrics": metrics.get(stage.position, {}),
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


def _in_flight(job_id: int) -> dict[int, int]:
    live = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id)
    rows = live.values("stage").annotate(items=Sum("open"))
    return {row["stage"]: row["items"] for row in rows}


def _metrics(job_id: int) -> dict[int, dict[str, int]]:
    rows = Metric.ledger.using(alias()).filter(job_id=job_id)
    sums: dict[int, dict[str, int]] = {}
    for row in rows.values("stage", "name").annotate(sum=Sum("value")).order_by("stage", "name"):
        sums.setdefault(row["stage"], {})[row["name"]] = int(row["sum"])
    return sums


def _late(job_id: int) -> int:
    tallies = Tally.ledger.using(alias()).filter(job_id=job_id)
    return int(tallies.aggregate(late=Coalesce(Sum("late"), 0))["late"])


def _eta(job: Job, done: int, of: int) -> dict[str, float] | None:
    """Seconds until the end, at the pace of the run so far; None when there is no pace yet.

    p90 allows for a pace that was measured on few items: one normal deviation of a Poisson
    count, times 1.28.
    """
    if job.started_at is None or job.finished_at is not None or not 0 < done < of:
        return None
    elapsed = (_now() - job.started_at).total_seconds()
    p50 = (of - done) * elapsed / done
    return {"p50": round(p50, 1), "p90": round(p50 * (1 + 1.28 / math.sqrt(done)), 1)}


def _now() -> datetime:
    rows = Job.ledger.using(alias()).annotate(clock=clock.now()).values_list("clock", flat=True)
    return rows.order_by("pk")[0]  # type: ignore[no-any-return]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@repeated
def jobs(
    *,
    project: str | None = None,
    projects: Collection[str] | None = None,
    status: JobStatus | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest jobs first, each as `progress` gives it; the next page is `before` the last id.

    `project` and `projects` both narrow it; None is all.
    """
    rows = Job.ledger.using(alias()).filter(deleted_at__isnull=True)
    if project is not None:
        rows = rows.filter(project=project)
    if projects is not None:
        rows = rows.filter(project__in=projects)
    if status is not None:
        rows = rows.filter(status=status)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    page = rows.order_by("-pk").values_list("pk", flat=True)[: min(limit, limits().page_items_max)]
    return [progress(job_id) for job_id in page]

"""Pipelines with waiting items that no worker serves, over all jobs that a person may see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, Subquery

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.progress import progress_of
from joblot.ledger.read.workers import Worker, database_now, holdings, is_online, serving
from joblot.ledger.rows.workers import ANY_JOB, ANY_PROJECT
from joblot.models import LIVE, NO_OWNER, ItemRange, Lease, PipelineAsked, Stage
from joblot.shown import counted, lasting
from joblot.states import CLAIMABLE

Place = tuple[int, int]  # a job, and the position of its stage


@dataclass(slots=True)
class Unserved:
    """A pipeline that no worker serves, and what waits for it in the stages that were read.

    `asked_seconds` ago a worker that might have got some of it has last asked; None: never.
    """

    pipeline: str
    items: int = 0
    jobs: int = 0
    asked_seconds: float | None = None

    def __str__(self) -> str:
        last = self.asked_seconds
        asked = "ever asked for it" if last is None else f"asked for it for {lasting(last)}"
        wait = "waits" if self.items == 1 else "wait"
        return (
            f"{counted(self.items, 'item')} of {counted(self.jobs, 'job')} {wait}; no worker has "
            f"{asked}"
        )


@repeated
@one_snapshot()
def unserved(projects: Collection[str] | None = None) -> list[Unserved]:
    """The pipelines that no worker serves, most items first; with `projects`, by their jobs only.

    By the rule of `why`: lately no worker has asked for the pipeline that may work on the job, and
    none that shows signs of life holds items of the stage. Of the stages that wait, those of the
    oldest jobs are read, at most `unserved_stages_max`.
    """
    now = database_now()
    found = _not_asked_for(now, projects)
    if not found:
        return []
    online = is_online(now)
    projects_found = {row["job__project"] for row in found}
    served = {name: serving(name, online=online) for name in projects_found}
    found = [row for row in found if not served[row["job__project"]][row["pipeline"]]]
    if not found:
        return []
    busy = _worked_on(now, {row["job_id"] for row in found})
    left = [row for row in found if (row["job_id"], row["position"]) not in busy]
    return sorted(_by_pipeline(left, now), key=lambda one: (-one.items, one.pipeline))


def _not_asked_for(now: datetime, projects: Collection[str] | None) -> list[dict[str, Any]]:
    """The stages with items to claim whose pipeline nobody has asked for lately."""
    due = ItemRange.ledger.filter(
        job_id=OuterRef("job_id"), stage=OuterRef("position"), not_before__lte=clock.now()
    )
    might_get = Q(job_id=ANY_JOB, project__in=[ANY_PROJECT, OuterRef("job__project")])
    asked = PipelineAsked.ledger.filter(
        might_get | Q(job_id=OuterRef("job_id")), pipeline=OuterRef("pipeline")
    )
    lately = now - timedelta(seconds=limits().worker_offline_seconds)
    rows = Stage.ledger.using(alias()).filter(job__status__in=[one.value for one in CLAIMABLE])
    if projects is not None:
        rows = rows.filter(job__project__in=sorted(projects))
    rows = rows.filter(~Exists(asked.filter(asked_at__gte=lately)), Exists(due))
    last = asked.order_by().values("pipeline").values(last=Max("asked_at"))
    found = rows.order_by("job_id", "position").annotate(last=Subquery(last))
    page = found.values("job_id", "job__project", "position", "pipeline", "last")
    return list(page[: limits().unserved_stages_max])


def _worked_on(now: datetime, jobs: Collection[int]) -> set[Place]:
    """The stages of which a worker that shows signs of life holds items: it may ask later."""
    held = holdings(now, which=Q(job_id__in=jobs))
    alive: set[Worker] = {worker for worker, one in held.items() if not one.is_silent(now)}
    leases = Lease.ledger.using(alias()).filter(LIVE, job_id__in=jobs).order_by()
    rows = leases.values_list("job_id", "stage", "owner", "worker").distinct()
    return {
        (job_id, stage)
        for job_id, stage, owner, worker in rows
        if (NO_OWNER if owner is None else owner, worker) in alive
    }


def _by_pipeline(rows: Iterable[dict[str, Any]], now: datetime) -> Iterator[Unserved]:
    rows = list(rows)
    waiting = {
        (job["id"], position): stage["ready"]
        for job in progress_of(sorted({row["job_id"] for row in rows}))
        for position, stage in enumerate(job["stages"])
    }
    for pipeline in {row["pipeline"] for row in rows}:
        mine = [row for row in rows if row["pipeline"] == pipeline]
        asked = [(now - row["last"]).total_seconds() for row in mine if row["last"]]
        yield Unserved(
            pipeline,
            sum(waiting.get((row["job_id"], row["position"]), 0) for row in mine),
            len({row["job_id"] for row in mine}),
            min(asked) if asked else None,
        )

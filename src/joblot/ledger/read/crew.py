"""The workers of a job, or those that a person may see."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Q

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.workers import Holding, database_now, holdings, workers

Json = dict[str, Any]

_UNKNOWN = dict.fromkeys(("items_per_minute", "failed_last_hour", "last_error"))


@repeated
@one_snapshot()
def crew_of(job_id: int) -> list[Json]:
    """The workers that hold items of the job, most items first: `{"worker", "items", "leases",
    "until", "last_seen_at", "silent"}`.
    """
    now = database_now()
    found = holdings(now, job_id=job_id).values()
    return [
        {
            "worker": one.worker[1],
            **_held(one),
            "last_seen_at": one.heard_at.isoformat(),
            "silent": one.is_silent(now),
        }
        for one in sorted(found, key=lambda one: (-one.items, one.worker[1]))
    ]


@repeated
@one_snapshot()
def crew(projects: Collection[str] | None = None) -> list[Json]:
    """All workers as `workers` returns them; with `projects`, only those that hold items of these
    projects' jobs, only these items, and no figures, since they are of all projects.
    """
    found = workers()
    if projects is None:
        return found
    held_by = holdings(database_now(), which=Q(job__project__in=sorted(projects)))
    mine = ((one, held_by.get((one["owner"], one["instance"]))) for one in found)
    return [{**one, **_held(held), **_UNKNOWN} for one, held in mine if held is not None]


def _held(one: Holding) -> Json:
    return {"items": one.items, "leases": one.leases, "until": one.until.isoformat()}

"""Who works on something: the workers of a job, or those that a person may see."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Q

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.workers import Holding, database_now, holdings, workers

Json = dict[str, Any]


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
    projects' jobs, and only these items.
    """
    found = workers()
    if projects is None:
        return found
    held = holdings(database_now(), which=Q(job__project__in=sorted(projects)))
    mine = ((one, held.get((one["owner"], one["instance"]))) for one in found)
    return [{**one, **_held(holding)} for one, holding in mine if holding is not None]


def _held(one: Holding) -> Json:
    return {"items": one.items, "leases": one.leases, "until": one.until.isoformat()}

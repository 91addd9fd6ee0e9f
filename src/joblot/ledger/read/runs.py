"""The runs of a job and the revisions of their reports: what each recorded and changed."""

from __future__ import annotations

from typing import Any

from joblot.config import limits
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.rows.job import read_job
from joblot.models import Event

Json = dict[str, Any]

_KINDS = ("started", "finished", "amended", "retried")
_COUNTS = ("succeeded", "failed", "lost", "skipped")


@repeated
@one_snapshot()
def runs(job_id: int) -> list[Json]:
    """The last revisions, newest first: `{"run", "revision", "status", "started_at", "at",
    "actor", "stages"}`.

    Each stage has its counts and, in `changes`, `{"failed": [12, 9]}` for what the revision before
    had recorded differently. A run that has not ended has revision 0 and no counts. At most
    `page_items_max` events are read. Raises NotFound.
    """
    job = read_job(job_id)
    rows = Event.ledger.using(alias()).filter(job_id=job_id, kind__in=_KINDS).order_by("-pk")
    events = list(reversed(rows[: limits().page_items_max]))
    started = {event.run: event.at.isoformat() for event in events if event.kind == "started"}
    found: list[Json] = []
    before: dict[int, list[Json]] = {}
    for event in events:
        if event.kind in ("finished", "amended"):
            found.append(_revision(event, started.get(event.run), before.get(event.run)))
            before[event.run] = event.data["stages"]
    if job.run not in before:
        found.append(
            {
                "run": job.run,
                "revision": 0,
                "status": job.status,
                "started_at": started.get(job.run),
                "at": None,
                "actor": "",
                "stages": [],
            }
        )
    return found[::-1]


def _revision(event: Event, started_at: str | None, before: list[Json] | None) -> Json:
    stages = event.data["stages"]
    return {
        "run": event.run,
        "revision": event.revision,
        "status": event.data["status"],
        "started_at": started_at,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "stages": [
            {**stage, "changes": _changes(before[position] if before else stage, stage)}
            for position, stage in enumerate(stages)
        ],
    }


def _changes(before: Json, after: Json) -> dict[str, list[int]]:
    return {name: [before[name], after[name]] for name in _COUNTS if before[name] != after[name]}

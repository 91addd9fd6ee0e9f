"""What happened to a job: its events, page by page."""

from __future__ import annotations

from typing import Any

from joblot.config import limits
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.event_text import sentence
from joblot.ledger.rows.job import read_job
from joblot.models import Event


@repeated
@one_snapshot()
def events(job_id: int, *, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
    """A page of events, oldest first, each with a `message` for people; the next page is `after`
    the last id. Raises NotFound.
    """
    read_job(job_id)
    rows = Event.ledger.using(alias()).filter(job_id=job_id, pk__gt=after).order_by("pk")
    return [
        {
            "id": event.pk,
            "run": event.run,
            "revision": event.revision,
            "kind": event.kind,
            "data": event.data,
            "at": event.at.isoformat(),
            "actor": event.actor,
            "reason": event.reason,
            "message": sentence(event),
        }
        for event in rows[: max(1, min(limit, limits().page_items_max))]
    ]

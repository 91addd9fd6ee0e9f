"""The live leases: which worker holds which items now."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, LIVE_BY_TIME, Lease


@repeated
def in_flight(*, job: int | None = None, worker: str | None = None) -> list[dict[str, Any]]:
    """Live leases, oldest first: `{"token", "job", "worker", "items", "item",
    "expiries", "expires_at", "progress"}`.

    `items` counts those still open. `item` is the number of the only item; None if there are
    several. `expiries` is how many leases of the item alone have expired;
    None if the lease holds several items, so that no single one can be blamed. `progress` is what
    the worker has said last: `{"share", "text", "item"}`, or None.
    """
    live = LIVE_BY_TIME if job is None else LIVE & Q(job_id=job)
    rows = Lease.ledger.using(alias()).filter(live)
    if worker is not None:
        rows = rows.filter(worker=worker)
    return [
        {
            "token": str(lease.pk),
            "job": lease.job_id,
            "worker": lease.worker,
            "items": lease.open,
            "item": lease.ranges[0][0] if lease.size == 1 else None,
            "expiries": _expiries_alone(lease),
            "expires_at": lease.expires_at.isoformat(),
            "progress": lease.progress,
        }
        for lease in rows.order_by("claimed_at")
    ]


def _expiries_alone(lease: Lease) -> int | None:
    spans = [Span(*span) for span in lease.ranges]
    alone = len(spans) == 1 and lease.size == 1 and spans[0].returns > 0
    return spans[0].expiries if alone else None

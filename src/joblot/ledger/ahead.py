"""Batches that a worker takes ahead, and works in the order in which they were granted.

Such a worker can't renew. But a report through one lease shows that it lives and will come to
those it was granted later; those it was granted earlier are done, or belong to a worker of the
same name that is dead.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Sum

from joblot import clock
from joblot.config import limits
from joblot.ledger.transactions import alias, durable, repeated
from joblot.models import LIVE, Lease


@repeated
def held_ahead(job_id: int, worker: str, seconds: float) -> int:
    """How many items of the job this worker was granted in the last `seconds` and still holds."""
    rows = Lease.ledger.using(alias()).filter(
        LIVE,
        job_id=job_id,
        worker=worker,
        claimed_at__gt=clock.after(-seconds),
    )
    return int(rows.aggregate(items=Sum("open"))["items"] or 0)


@repeated
def renew_ahead(token: str, seconds: float) -> int:
    """Hold what the worker of this lease was granted of the same job since; returns how many.

    `seconds` from now, where less than half of that is left. "Since" begins
    `ahead_skew_seconds` before the lease, for the order is not exact. A lease that is being
    reported through at this moment is left alone.
    """
    lease = Lease.ledger.using(alias()).filter(pk=token).first()
    if lease is None:
        return 0
    due = Lease.ledger.using(alias()).filter(
        LIVE,
        job_id=lease.job_id,
        worker=lease.worker,
        owner=lease.owner,
        claimed_at__gte=lease.claimed_at - timedelta(seconds=limits().ahead_skew_seconds),
        expires_at__lt=clock.after(seconds / 2),
    )
    if not due.exists():
        return 0
    with durable():
        tokens = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True))
        rows = Lease.ledger.using(alias()).filter(pk__in=tokens)
        return rows.update(expires_at=clock.after(seconds))

"""Batches that a worker claims ahead, and processes in the order in which they were granted.

Such a worker can't renew. But a report through one lease shows that it is alive and will get to the
leases it was granted later; those it was granted earlier are done, or belong to a dead worker of
the same name.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models import Sum

from joblot import clock
from joblot.contrib.antenna.limits import antenna_limits
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.lease import renew_many
from joblot.models import LIVE, Lease


@repeated
def held_ahead(job_id: int, worker: str, seconds: float) -> int:
    """How many items of the job this worker was granted in the last `seconds` and still holds."""
    rows = Lease.objects.using(alias()).filter(
        LIVE,
        job_id=job_id,
        worker=worker,
        claimed_at__gt=clock.after(-seconds),
    )
    return int(rows.aggregate(items=Sum("open"))["items"] or 0)


def renew_ahead(token: str, seconds: float) -> int:
    """Renew the leases of the same job granted to this lease's worker since; returns how many.

    They are renewed to `seconds` from now, if less than half of that is left. A lease that is being
    reported through right now is left alone.
    """
    due = _granted_since(token, ending_within=seconds / 2)
    return renew_many(due, seconds) if due else 0


@repeated
def _granted_since(token: str, *, ending_within: float) -> list[UUID]:
    """Live leases; "since" begins `skew_seconds` before this one, as the order is not exact."""
    lease = Lease.objects.using(alias()).filter(pk=token).first()
    if lease is None:
        return []
    since = lease.claimed_at - timedelta(seconds=antenna_limits().skew_seconds)
    granted = Lease.objects.using(alias()).filter(
        LIVE,
        job_id=lease.job_id,
        worker=lease.worker,
        owner=lease.owner,
        claimed_at__gte=since,
        expires_at__lt=clock.after(ending_within),
    )
    return list(granted.values_list("pk", flat=True))

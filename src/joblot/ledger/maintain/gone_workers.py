"""Remove the workers that were not seen for long, and figures that are shown no more."""

from __future__ import annotations

from django.db.models import Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.rows.worker_figures import SHOWN_MINUTES, this_minute
from joblot.models import LIVE_BY_TIME, Lease, WorkerInstance, WorkerMinute

WORKERS_BATCH = 1_000  # removed in one round


@repeated
def remove_gone_workers() -> None:
    """Remove workers that were not seen for `worker_kept_seconds` and hold nothing.

    A revoked worker stays, for as long as it is revoked: its row is what refuses it.
    """
    long_ago = clock.after(-limits().worker_kept_seconds)
    workers = WorkerInstance.ledger.using(alias())
    gone = workers.filter(last_seen_at__lt=long_ago, revoked_at__isnull=True)
    found = dict(gone.values_list("pk", "instance")[:WORKERS_BATCH])
    if found:
        live = Lease.ledger.using(alias()).filter(LIVE_BY_TIME, worker__in=set(found.values()))
        holding = set(live.values_list("worker", flat=True))
        idle = [pk for pk, instance in found.items() if instance not in holding]
        gone.filter(pk__in=idle).delete()


@repeated
def remove_old_figures() -> None:
    """Those of hours ago, and of hours ahead, when the clock was wrong."""
    now = this_minute()
    unshown = Q(minute__lte=now - SHOWN_MINUTES) | Q(minute__gt=now + 1)
    WorkerMinute.ledger.using(alias()).filter(unshown).delete()

"""Leases that have expired and are still held: what a sweep should have returned by now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, Sum

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.sweep_failures import Step, put_off
from joblot.models import LIVE, Lease
from joblot.shown import at, counted, counted_and


@dataclass(frozen=True, slots=True)
class OverdueLeases:
    """How many, the items they hold, and when the first one expired."""

    leases: int
    items: int
    since: datetime

    def text(self, now: datetime) -> str:
        whose = "a lease" if self.leases == 1 else counted(self.leases, "lease")
        expired = "expired at" if self.leases == 1 else "expired, the first at"
        return (
            f"{counted_and(self.items, 'item', 'is', 'are')} held by {whose} that {expired} "
            f"{at(self.since, now)}"
        )


def sweep_overdue_at() -> Any:
    """A sweep that keeps up has expired what expired before this moment."""
    return clock.after(-limits().sweep_overdue_seconds)


def overdue_leases() -> OverdueLeases | None:
    """Those of all jobs, at most `gauge_rows_max`; None if there are none.

    Ignores jobs for which expiring leases fails: the sweep keeps up, and the failure is reported.
    """
    live = Lease.ledger.using(alias()).filter(LIVE, expires_at__lt=sweep_overdue_at())
    live = live.exclude(put_off(Step.EXPIRE, "job_id")).order_by("expires_at")
    return _summed(live[: limits().gauge_rows_max])


def overdue_leases_of(job_id: int) -> OverdueLeases | None:
    """Those of one job. A condition on their time would let PostgreSQL read those of all jobs."""
    live = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id)
    live = live.exclude(put_off(Step.EXPIRE, "job_id"))
    return _summed(live, Q(expires_at__lt=sweep_overdue_at()))


def _summed(rows: Any, which: Q | None = None) -> OverdueLeases | None:
    found = rows.aggregate(
        leases=Count("pk", filter=which),
        items=Sum("open", filter=which, default=0),
        since=Min("expires_at", filter=which),
    )
    return OverdueLeases(**found) if found["leases"] else None

"""Leases that have expired and are still held: what a sweep should have returned by now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Sum

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


def overdue_leases(**where: Any) -> OverdueLeases | None:
    """None if there are none. Counts at most `gauge_rows_max` leases.

    Ignores jobs for which expiring leases fails: the sweep keeps up, and the failure is reported.
    """
    live = Lease.ledger.using(alias()).filter(LIVE, expires_at__lt=sweep_overdue_at(), **where)
    live = live.exclude(put_off(Step.EXPIRE, "job_id")).order_by("expires_at")
    found = live[: limits().gauge_rows_max].aggregate(
        leases=Count("pk"), items=Sum("open", default=0), since=Min("expires_at")
    )
    return OverdueLeases(**found) if found["leases"] else None

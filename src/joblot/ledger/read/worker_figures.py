"""How fast each worker is, and how often it fails: sums over the last minutes.

Read from what processes write now and then (`rows/worker_figures`), so a figure may be too low for
`worker_seen_seconds`, and is never too high.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Max, Q, Sum

from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.worker_figures import (
    MINUTE_SECONDS,
    SHOWN_MINUTES,
    Worker,
    minute_of,
)
from joblot.models import WorkerMinute

RATE_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """`recorded`: results of the last five whole minutes and the current one. `failed` and `error`,
    the last one, are of the last hour.
    """

    minute: int
    recorded: int = 0
    failed: int = 0
    error: str | None = None

    def per_minute(self, now: datetime, first_seen_at: datetime) -> float:
        """Over the time since the worker was first seen, if that is shorter."""
        since = (self.minute - RATE_MINUTES) * MINUTE_SECONDS
        seconds = now.timestamp() - max(since, first_seen_at.timestamp())
        return round(self.recorded * 60 / max(seconds, MINUTE_SECONDS), 1)


def figures(now: datetime, owner: int | None = None) -> dict[Worker, Figures]:
    """The figures of the workers that reported something in the last hour; of one owner, or all."""
    minute = minute_of(now)
    rows = _rows(minute) if owner is None else _rows(minute).filter(owner=owner)
    sums = rows.order_by().values("owner", "instance")
    sums = sums.annotate(
        recorded=Sum(
            F("succeeded") + F("failed"), filter=Q(minute__gte=minute - RATE_MINUTES), default=0
        ),
        failures=Sum("failed"),
        erred=Max("minute", filter=Q(error__isnull=False)),
    )
    found = {(row["owner"], row["instance"]): row for row in sums}
    last = {(*worker, row["erred"]) for worker, row in found.items() if row["erred"] is not None}
    errors = _errors(rows, last)
    return {
        worker: Figures(minute, row["recorded"], row["failures"], errors.get(worker))
        for worker, row in found.items()
    }


def failing(now: datetime) -> int:
    """How many workers reported more failures than successes in the last hour."""
    sums = _rows(minute_of(now)).order_by().values("owner", "instance")
    sums = sums.annotate(bad=Sum("failed"), good=Sum("succeeded"))
    return int(sums.filter(bad__gt=F("good")).count())


def _errors(rows: Any, last: set[tuple[int, str, int]]) -> dict[Worker, str]:
    """The errors of these workers in these minutes."""
    among = rows.filter(error__isnull=False, minute__in={minute for *_, minute in last})
    found = among.values_list("owner", "instance", "minute", "error")
    return {(owner, name): error for owner, name, at, error in found if (owner, name, at) in last}


def _rows(minute: int) -> Any:
    rows = WorkerMinute.ledger.using(alias())
    return rows.filter(minute__gt=minute - SHOWN_MINUTES, minute__lte=minute)

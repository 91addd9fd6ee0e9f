"""Events that are not fanned out or not delivered to handlers, and the reason for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, Subquery

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.models import Delivery, Event
from joblot.shown import to_the_second


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event for which a handler failed, has not returned, or was never called."""

    handler: str
    event_id: int
    kind: str
    job_id: int
    tries: int
    started_at: datetime | None
    next_try_at: datetime
    error: str

    def __str__(self) -> str:
        return (
            f"handler {self.handler}, event {self.event_id} ({self.kind} of job {self.job_id}): "
            f"{self._what}"
        )

    @property
    def _what(self) -> str:
        after = f"next try at {to_the_second(self.next_try_at)}"
        if self.started_at is not None:
            since = to_the_second(self.started_at)
            return f"try {self.tries} has not returned since {since}; {after}"
        if self.tries:
            return f"try {self.tries} failed ({self.error}); {after}"
        return (
            f"nobody has called it since {to_the_second(self.next_try_at)}; check that `joblot "
            "serve` or `joblot deliver --forever` runs, and imports this handler"
        )


def undelivered(rows_max: int, **where: Any) -> Iterator[Undelivered]:
    """Deliveries that failed, or are overdue for their first try; oldest first."""
    overdue = Q(tries=0, next_try_at__lt=clock.after(-limits().sweep_overdue_seconds))
    late = Q(tries=1, started_at__gt=clock.after(-limits().handler_slow_seconds))
    rows = open_deliveries(**where).filter(Q(tries__gt=0) & ~late | overdue)
    kind = Event.ledger.filter(pk=OuterRef("event_id")).values("kind")
    for row in rows.annotate(kind=Subquery(kind)).order_by("event_id")[:rows_max]:
        yield Undelivered(
            row.handler,
            row.event_id,
            row.kind,
            row.job_id,
            row.tries,
            row.started_at,
            row.next_try_at,
            row.error[:200],
        )


def open_deliveries(**where: Any) -> Any:
    return Delivery.ledger.using(alias()).filter(delivered_at__isnull=True, **where)


def not_dispatched() -> Any:
    """The events that have not been fanned out yet."""
    return Event.ledger.using(alias()).filter(dispatched_at__isnull=True)


def stuck(**where: Any) -> Any:
    """The events whose fan-out has failed so far."""
    return not_dispatched().filter(tries__gt=0, **where)


def stuck_events(rows_max: int, **where: Any) -> Iterator[str]:
    """Messages about events that could not be fanned out; oldest first."""
    for event in stuck(**where).order_by("id")[:rows_max]:
        yield (
            f"event {event.id} ({event.kind} of job {event.job_id}): its deliveries could not be "
            f"written in {event.tries} tries since {to_the_second(event.at)}; next "
            f"try at {to_the_second(event.next_try_at)}"
        )

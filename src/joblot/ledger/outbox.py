"""The outbox: events are delivered after the commit that wrote them, at least once, by their id.

A Python handler runs in one transaction with the mark of its delivery, so what it writes in the
same database happens exactly once. An event is told again, with a growing wait, until every
handler has had it.
"""

from __future__ import annotations

import logging

from django.db import IntegrityError
from django.db.models import F

from joblot import clock
from joblot.config import limits
from joblot.ledger import hooks
from joblot.ledger.transactions import alias, durable, hook_savepoint, repeated, savepoint
from joblot.models import Delivery, Event

logger = logging.getLogger("joblot.ledger")


def deliver() -> int:
    """Deliver what is due, oldest first; returns how many events are done with."""
    return sum(_deliver_event(event) for event in _due())


@repeated
def _due() -> list[Event]:
    due = Event.ledger.using(alias()).filter(
        dispatched_at__isnull=True, next_try_at__lte=clock.now()
    )
    return list(due.order_by("id")[: limits().outbox_batch_events])


def _deliver_event(event: Event) -> bool:
    """Give one event to each of its handlers; a handler that fails keeps no other from it."""
    done = True
    for name, handler in hooks.event_handlers(event.kind).items():
        try:
            _deliver_to(event, name, handler)
        except Exception:
            logger.exception("event %s: handler %s failed; it is told again", event.pk, name)
            done = False
    _close_event(event, done=done)
    return done


@repeated
def _deliver_to(event: Event, name: str, handler: hooks.EventHandler) -> None:
    """Run the handler with its mark. Of two at once, the second waits for the mark and sees it."""
    with durable():
        if not _mark_delivered(event, name):
            return
        told = hooks.JobEvent(
            event.pk, event.job_id, event.run, event.revision, event.kind, event.data
        )
        with hook_savepoint():
            handler(told)


def _mark_delivered(event: Event, name: str) -> bool:
    """False if the handler has had the event before."""
    try:
        with savepoint():
            Delivery.ledger.using(alias()).create(
                event_id=event.pk, handler=name, delivered_at=clock.now()
            )
    except IntegrityError:
        return False
    return True


@repeated
def _close_event(event: Event, *, done: bool) -> None:
    row = Event.ledger.using(alias()).filter(pk=event.pk)
    if done:
        row.update(dispatched_at=clock.now())
        return
    wait = backoff_seconds(event.tries)
    row.update(tries=F("tries") + 1, next_try_at=clock.after(wait))


def backoff_seconds(tries: int) -> float:
    """How long an event waits that was tried so many times before this one failed."""
    doubled = limits().outbox_backoff_seconds * 2.0 ** min(tries, 32)
    return min(doubled, limits().outbox_backoff_seconds_max)

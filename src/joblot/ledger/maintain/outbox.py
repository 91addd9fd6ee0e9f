"""The outbox: after the commit that wrote it, an event is fanned out once to all its subscribers.

A fan-out writes one delivery for each handler and each webhook, in one transaction with the mark
that the event is dispatched. It runs no adopter's code and sends nothing, so the sweep can do it.
"""

from __future__ import annotations

import logging

from django.db.models import Exists, F, OuterRef

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.read.undelivered import not_dispatched, stuck
from joblot.ledger.report import hooks
from joblot.models import Delivery, Event
from joblot.policy import doubled

logger = logging.getLogger("joblot.ledger")


def fan_out() -> int:
    """Write the deliveries of due events, oldest first; returns how many events."""
    return sum(_fan_out(event_id, job_id) for event_id, job_id in _due())


@repeated
def _due() -> list[tuple[int, int]]:
    """Excludes events behind one that failed: they wait for it, and would fill the batch."""
    behind = stuck().filter(job_id=OuterRef("job_id"), pk__lt=OuterRef("pk"))
    due = not_dispatched().filter(~Exists(behind), next_try_at__lte=clock.now()).order_by("id")
    return list(due.values_list("pk", "job_id")[: limits().outbox_batch_events])


def _fan_out(event_id: int, job_id: int) -> bool:
    """Fan one event out; if that fails, the event is put off and other jobs' events proceed."""
    try:
        return _dispatch_if_waiting(event_id)
    except Exception:
        _put_off(event_id)
        logger.exception(
            "event %s of job %s: its deliveries could not be written; it is put off",
            event_id,
            job_id,
            extra={"job": job_id},
        )
        return False


@repeated
def _dispatch_if_waiting(event_id: int) -> bool:
    """A concurrent call skips an event that is locked, and later events of the same job: otherwise
    a later event could be delivered before an earlier one.
    """
    waiting = not_dispatched()
    earlier = waiting.filter(job_id=OuterRef("job_id"), pk__lt=OuterRef("pk"))
    with durable():
        rows = waiting.filter(pk=event_id)
        first = rows.filter(~Exists(earlier))
        event: Event | None = first.select_for_update(skip_locked=True).first()
        if event is None:
            return False
        _write_deliveries(event)
        rows.update(dispatched_at=clock.now())
    return True


def _write_deliveries(event: Event) -> None:
    notice = as_notice(event)
    for write in hooks.fan_out_writers(event.kind):
        write(notice)
    Delivery.ledger.using(alias()).bulk_create(
        (
            Delivery(event_id=event.pk, handler=name, job_id=event.job_id, next_try_at=clock.now())
            for name in hooks.handlers_of(event.kind)
        ),
        ignore_conflicts=True,
    )


def as_notice(event: Event) -> hooks.JobNotice:
    """The event in the form that a handler receives."""
    return hooks.JobNotice(
        id=event.pk,
        job_id=event.job_id,
        run=event.run,
        revision=event.revision,
        kind=event.kind,
        data=event.data,
        actor=event.actor,
        reason=event.reason,
    )


@repeated
def _put_off(event_id: int) -> None:
    rows = Event.ledger.using(alias()).filter(pk=event_id)
    for event in rows:
        rows.update(tries=F("tries") + 1, next_try_at=clock.after(backoff_seconds(event.tries)))


def backoff_seconds(tries: int) -> float:
    """How long to wait after a try that `tries` failed tries preceded."""
    most = limits().outbox_backoff_seconds_max
    return doubled(limits().outbox_backoff_seconds, tries, most=most)

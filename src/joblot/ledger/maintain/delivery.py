"""Deliveries: an event is passed to a handler until the handler returns, in order per job.

A try is claimed in its own transaction, which also records when the next one may begin, so nothing
has to be written if the process dies. A transactional handler then runs in one transaction with the
mark of its delivery, so its writes to the same database happen exactly once. Any other handler runs
outside a transaction and is marked afterwards.

Nothing in this process can end a handler that hangs: `joblot.delivery` runs this code in a process
that can be killed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef

from joblot import clock
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.time_limit import ended_after, seconds_within
from joblot.ledger.db.transactions import (
    alias,
    connection,
    durable,
    hook_savepoint,
    repeated,
    require_durable,
)
from joblot.ledger.maintain.outbox import as_notice, backoff_seconds
from joblot.ledger.report import hooks
from joblot.ledger.rows.error_text import error_text
from joblot.models import Delivery, Event

logger = logging.getLogger("joblot.ledger")


@dataclass(frozen=True, slots=True)
class Call:
    """A claimed try. `tries` is its number, and the fence for everything written about it."""

    handler: hooks.EventHandler
    event: hooks.JobNotice
    tries: int
    seconds_max: float
    retry_seconds: float  # until the next try, unless this one is marked

    def __str__(self) -> str:
        event = self.event
        return (
            f"handler {self.handler.name}, event {event.id} ({event.kind} of job {event.job_id}), "
            f"try {self.tries}"
        )


Watch = Callable[[Call], AbstractContextManager[Any]]


def deliver(watch: Watch = nullcontext) -> int:
    """Pass each due event to its handlers, oldest first; returns how many deliveries succeeded.

    Calls the handlers that this process has imported, in this thread: `watch` is entered around
    each call. Events not yet fanned out are due after the next sweep. Raises Unavailable.
    """
    require_durable(connection())
    taken = 0
    while done := sum(_deliver(call, watch) for call in _calls()):
        taken += done  # the events behind them are due now
    return taken


def deliver_until(
    stop: threading.Event, watch: Watch = nullcontext, *, idle_seconds_max: float | None = None
) -> None:
    """Deliver every `handler_poll_seconds` until `stop` is set, or nothing was due for
    `idle_seconds_max`.

    Without `supervise_until`, a handler that hangs blocks the others in this process; its
    transaction is ended at its limit. A database failure is logged and retried.
    """
    idle = 0.0
    while not stop.is_set() and (idle_seconds_max is None or idle < idle_seconds_max):
        called = 0
        try:
            for call in _calls():
                called += 1
                _deliver(call, watch)
                if stop.is_set():
                    break
        except Unavailable as error:
            logger.warning("delivery: %s", error)
        except Exception:
            logger.exception("delivery failed; it continues in the next round")
        if not called:
            idle += limits().handler_poll_seconds
            stop.wait(limits().handler_poll_seconds)
        else:
            idle = 0.0
    connection().close()


def _calls() -> Iterator[Call]:
    """Claim the tries that are due, one at a time."""
    for event_id, name in _due():
        if (call := _claim_if_due(event_id, name)) is not None:
            yield call


@repeated
def _due() -> list[tuple[int, str]]:
    names = set(hooks.event_handlers()) - _occupied()
    if not names:
        return []
    due = _first_of_their_job().filter(handler__in=names, next_try_at__lte=clock.now())
    rows = due.order_by("event_id").values_list("event_id", "handler")
    return list(rows[: limits().outbox_batch_events])


def _first_of_their_job() -> Any:
    """Open deliveries without an earlier open one of the same job and handler."""
    earlier = Delivery.ledger.filter(
        job_id=OuterRef("job_id"),
        handler=OuterRef("handler"),
        event_id__lt=OuterRef("event_id"),
        delivered_at__isnull=True,
    )
    return Delivery.ledger.using(alias()).filter(~Exists(earlier), delivered_at__isnull=True)


def _occupied() -> set[str]:
    """Handlers that already run in `handler_at_once_max` processes."""
    running = Delivery.ledger.using(alias()).filter(
        delivered_at__isnull=True,
        started_at__gt=clock.after(-limits().handler_seconds_max),
        next_try_at__gt=clock.now(),
    )
    counted = running.values("handler").annotate(processes=Count("event_id"))
    full = counted.filter(processes__gte=limits().handler_at_once_max)
    return set(full.values_list("handler", flat=True))


@repeated
def _claim_if_due(event_id: int, name: str) -> Call | None:
    """Begin a try if it is still due. Skips a row that another process has locked."""
    handler = hooks.event_handlers()[name]
    seconds = limits().handler_seconds_max
    if handler.transactional:
        seconds = seconds_within(seconds)
    with durable():
        if name in _occupied():
            return None
        due = _first_of_their_job().filter(
            event_id=event_id, handler=name, next_try_at__lte=clock.now()
        )
        row: Delivery | None = due.select_for_update(skip_locked=True).first()
        if row is None:
            return None
        event: Event | None = Event.ledger.using(alias()).filter(pk=event_id).first()
        if event is None:  # its job was removed
            _row(event_id, name).delete()
            return None
        wait = seconds + backoff_seconds(row.tries)
        _row(event_id, name).update(
            tries=row.tries + 1, started_at=clock.now(), next_try_at=clock.after(wait)
        )
    return Call(handler, as_notice(event), row.tries + 1, seconds, wait)


def _row(event_id: int, name: str) -> Any:
    return Delivery.ledger.using(alias()).filter(event_id=event_id, handler=name)


def _deliver(call: Call, watch: Watch) -> bool:
    """Call the handler; False if it failed and will be retried."""
    try:
        with watch(call):
            if call.handler.transactional:
                return _deliver_in_one_transaction(call)
            call.handler.call(call.event)
        return _mark_if_mine(call)
    except Exception as error:
        wait = backoff_seconds(call.tries - 1)
        about = {"job": call.event.job_id}
        logger.exception("%s failed; the next one is in %g s", call, wait, extra=about)
        _put_off_if_mine(call, error, wait)
        return False


@repeated
def _deliver_in_one_transaction(call: Call) -> bool:
    """Mark first: this locks the row, so no other process begins a try while this one runs."""
    with durable(), ended_after(call.seconds_max, str(call)):
        if not _mark(call):
            return False
        with hook_savepoint():
            call.handler.call(call.event)
    return True


@repeated
def _mark_if_mine(call: Call) -> bool:
    return _mark(call)


def _mark(call: Call) -> bool:
    """False if another process has begun a later try."""
    row = _mine(call)
    return bool(row.update(delivered_at=clock.now(), started_at=None, error="") == 1)


@repeated
def _put_off_if_mine(call: Call, error: Exception, wait: float) -> None:
    _mine(call).update(started_at=None, next_try_at=clock.after(wait), error=error_text(error))


def _mine(call: Call) -> Any:
    return _row(call.event.id, call.handler.name).filter(
        tries=call.tries, delivered_at__isnull=True
    )

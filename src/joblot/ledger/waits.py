"""Waits: no item, lease or event waits longer than its rule says, though a clock was ahead.

What is due later is written as a time. If the database's clock was hours ahead when it was written,
and is right again, that time is hours away. So what lies further ahead than its rule allows, from
now on, is brought forward to what the rule allows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db.models.expressions import Combinable

from joblot import clock
from joblot.config import limits
from joblot.errors import NotFound
from joblot.ledger.jobs import policy_of, read_job
from joblot.ledger.outbox import backoff_seconds
from joblot.ledger.transactions import alias, durable, repeated
from joblot.models import LIVE_BY_TIME, Delivery, Event, ItemRange, Lease


def shorten_waits() -> int:
    """Bring forward what waits for too long; returns how many ranges, leases and tries."""
    return _shorten_ranges() + _shorten_leases() + _shorten_events() + _shorten_deliveries()


@repeated
def _shorten_ranges() -> int:
    """An item waits for its next try at most as long as its job's policy lets it."""
    later = ItemRange.ledger.using(alias()).filter(not_before__gt=_after(0))
    brought = 0
    for job_id, failures in list(later.order_by().values_list("job_id", "failures").distinct()):
        with suppress(NotFound):  # removed meanwhile
            policy = policy_of(read_job(job_id, deleted=True))
            longest = policy.backoff_seconds(failures) if failures else 0.0
            alike = later.filter(job_id=job_id, failures=failures, not_before__gt=_after(longest))
            brought += alike.update(not_before=clock.after(longest))
    return brought


@repeated
def _shorten_leases() -> int:
    """A lease that was granted in what is now the future is granted now.

    One that was renewed then can't be told from one that was renewed for long, so it is cut where
    no renewal may reach. Its worker, if it lives, sets it right by the next renewal.
    """
    live = Lease.ledger.using(alias()).filter(LIVE_BY_TIME)
    longest = limits().lease_seconds_max
    wrong = live.filter(claimed_at__gt=_after(0)) | live.filter(expires_at__gt=_after(longest))
    brought = 0
    for job_id in list(wrong.order_by().values_list("job_id", flat=True).distinct()):
        with suppress(NotFound):
            seconds = policy_of(read_job(job_id, deleted=True)).lease_seconds
            while batch := _grant_now(wrong.filter(job_id=job_id), seconds):
                brought += batch
    return brought


def _grant_now(wrong: Any, seconds: float) -> int:
    """A batch of them; those that are reported through at this moment are left alone."""
    with durable():
        locked = wrong.select_for_update(skip_locked=True)
        tokens = list(locked.values_list("pk", flat=True)[: limits().close_leases_batch])
        leases = Lease.ledger.using(alias()).filter(pk__in=tokens)
        return int(leases.update(claimed_at=clock.now(), expires_at=clock.after(seconds)))


@repeated
def _shorten_events() -> int:
    """A fan-out that failed is tried again after its backoff."""
    return _shorten_tries(Event.ledger.using(alias()).filter(dispatched_at__isnull=True), 0.0)


@repeated
def _shorten_deliveries() -> int:
    """A handler is called again, at the latest, after the limit of a call and the backoff."""
    waiting = Delivery.ledger.using(alias()).filter(delivered_at__isnull=True)
    return _shorten_tries(waiting, limits().handler_seconds_max)


def _shorten_tries(waiting: Any, call_seconds_max: float) -> int:
    later = waiting.filter(next_try_at__gt=_after(0))
    brought = 0
    for tries in list(later.order_by().values_list("tries", flat=True).distinct()):
        longest = call_seconds_max + backoff_seconds(tries - 1) if tries else 0.0
        alike = later.filter(tries=tries, next_try_at__gt=_after(longest))
        brought += alike.update(next_try_at=clock.after(longest))
    return brought


def _after(seconds: float) -> Combinable:
    """A little more than `seconds` from now: what is written now is no mistake."""
    return clock.after(seconds + limits().clock_slack_seconds)

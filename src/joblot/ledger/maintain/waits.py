"""Waits: no item, lease or event waits longer than its rule says, though a clock was ahead.

What is due later is written as a time. If the database's clock was hours ahead when it was written,
and is right again, that time is hours away. So what lies further ahead than its rule allows, from
now on, is brought forward to what the rule allows.
"""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Combinable

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.maintain.outbox import backoff_seconds
from joblot.ledger.rows.job import policy_of, read_job
from joblot.ledger.rows.sweep_failures import Step, each, failures, put_off
from joblot.models import LIVE_BY_TIME, Delivery, Event, ItemRange, Lease, StoredOutput


def shorten_waits() -> None:
    """Bring forward what waits for too long.

    A job for which that fails is put off, and keeps no other from its turn.
    """
    each(Step.WAITS, _jobs(_late_ranges()), _shorten_ranges)
    each(Step.WAITS, _jobs(_late_leases()), _shorten_leases)
    _shorten_events()
    _shorten_deliveries()
    _shorten_files()
    _shorten_failures()


def shorten_waits_of(job_id: int) -> None:
    """The same for one job that may have been put off. Raises what goes wrong."""
    _shorten_ranges(job_id)
    _shorten_leases(job_id)


@repeated
def _jobs(late: Any) -> list[int]:
    late = late.exclude(put_off(Step.WAITS, "job_id"))
    return list(late.order_by().values_list("job_id", flat=True).distinct())


def _late_ranges() -> Any:
    return ItemRange.ledger.using(alias()).filter(not_before__gt=_after(0))


@repeated
def _shorten_ranges(job_id: int) -> None:
    """An item waits for its next try at most as long as its job's policy lets it."""
    late = _late_ranges().filter(job_id=job_id)
    policy = policy_of(read_job(job_id, deleted=True))
    for spent in list(late.order_by().values_list("failures", flat=True).distinct()):
        longest = policy.backoff_seconds(spent) if spent else 0.0
        alike = late.filter(failures=spent, not_before__gt=_after(longest))
        alike.update(not_before=clock.after(longest))


def _late_leases() -> Any:
    live = Lease.ledger.using(alias()).filter(LIVE_BY_TIME)
    longest = limits().lease_seconds_max
    return live.filter(claimed_at__gt=_after(0)) | live.filter(expires_at__gt=_after(longest))


@repeated
def _shorten_leases(job_id: int) -> None:
    """A lease that was granted in what is now the future is granted now.

    One that was renewed then can't be told from one that was renewed for long, so it is cut where
    no renewal may reach. Its worker, if it lives, sets it right by the next renewal.
    """
    seconds = policy_of(read_job(job_id, deleted=True)).lease_seconds
    while _grant_now(_late_leases().filter(job_id=job_id), seconds):
        pass


def _grant_now(wrong: Any, seconds: float) -> int:
    """A batch of them; those that are reported through at this moment are left alone."""
    with durable():
        locked = wrong.select_for_update(skip_locked=True)
        tokens = list(locked.values_list("pk", flat=True)[: limits().close_leases_batch])
        leases = Lease.ledger.using(alias()).filter(pk__in=tokens)
        return int(leases.update(claimed_at=clock.now(), expires_at=clock.after(seconds)))


@repeated
def _shorten_events() -> None:
    """A fan-out that failed is tried again after its backoff."""
    _shorten_tries(Event.ledger.using(alias()).filter(dispatched_at__isnull=True), 0.0)


@repeated
def _shorten_deliveries() -> None:
    """A handler is called again, at the latest, after the limit of a call and the backoff."""
    waiting = Delivery.ledger.using(alias()).filter(delivered_at__isnull=True)
    _shorten_tries(waiting, limits().handler_seconds_max)


@repeated
def _shorten_files() -> None:
    """A file is looked at, and its removal tried, at the latest after what its rules say."""
    files = StoredOutput.ledger.using(alias())
    longest = limits().output_unsettled_seconds
    files.filter(check_at__gt=_after(longest)).update(check_at=clock.after(longest))
    longest = limits().output_removal_seconds_max + limits().output_removal_retry_seconds
    files.filter(next_try_at__gt=_after(longest)).update(next_try_at=clock.after(longest))


@repeated
def _shorten_failures() -> None:
    """A step that failed for a job is tried again, at the latest, after the longest backoff."""
    longest = limits().sweep_backoff_seconds_max
    failures(next_try_at__gt=_after(longest)).update(next_try_at=clock.after(longest))


def _shorten_tries(waiting: Any, call_seconds_max: float) -> None:
    later = waiting.filter(next_try_at__gt=_after(0))
    for tries in list(later.order_by().values_list("tries", flat=True).distinct()):
        longest = call_seconds_max + backoff_seconds(tries - 1) if tries else 0.0
        alike = later.filter(tries=tries, next_try_at__gt=_after(longest))
        alike.update(next_try_at=clock.after(longest))


def _after(seconds: float) -> Combinable:
    """A little more than `seconds` from now: what is written now is no mistake."""
    return clock.after(seconds + limits().clock_slack_seconds)

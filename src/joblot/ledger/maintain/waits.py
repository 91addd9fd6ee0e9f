"""Waits: no item, lease or event waits longer than its rule allows, even if the clock was ahead.

Due times are stored as absolute times. If the database's clock was hours ahead when one was
written and has been corrected since, that time is hours away. So a due time that is further away
than its rule allows is brought forward to what the rule allows.
"""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Combinable

from joblot import clock
from joblot.config import limits
from joblot.ledger.claim.rate import SLOTS
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.maintain.outbox import backoff_seconds
from joblot.ledger.rows.job import policy_of, read_job
from joblot.ledger.rows.sweep_failures import Step, each, failures, put_off
from joblot.models import (
    LIVE_BY_TIME,
    Delivery,
    Event,
    ItemRange,
    Lease,
    PipelineLimit,
    Rate,
    StoredOutput,
)


def shorten_waits() -> None:
    """Bring forward what waits for too long.

    If this fails for a job, the job is put off and the others proceed.
    """
    each(Step.WAITS, _jobs(_late_ranges()), _shorten_ranges)
    each(Step.WAITS, _jobs(_late_leases()), _shorten_leases)
    _shorten_events()
    _shorten_deliveries()
    _shorten_files()
    _shorten_failures()
    _shorten_rates()


def shorten_waits_of(job_id: int) -> None:
    """The same for one job, which may have been put off. Raises any error."""
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
    """An item waits for its next try at most as long as its job's policy allows."""
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
    """A lease that was granted in what is now the future counts as granted now.

    A lease that was renewed then can't be distinguished from one renewed for a long time, so only a
    deadline beyond any renewal is shortened. Its worker, if alive, corrects it by the next renewal.
    """
    seconds = policy_of(read_job(job_id, deleted=True)).lease_seconds
    while _grant_now(_late_leases().filter(job_id=job_id), seconds):
        pass


def _grant_now(wrong: Any, seconds: float) -> int:
    """Correct a batch of leases; skips those that are locked by a report."""
    with durable():
        locked = wrong.select_for_update(skip_locked=True)
        tokens = list(locked.values_list("pk", flat=True)[: limits().close_leases_batch])
        leases = Lease.ledger.using(alias()).filter(pk__in=tokens)
        return int(leases.update(claimed_at=clock.now(), expires_at=clock.after(seconds)))


@repeated
def _shorten_events() -> None:
    """A fan-out that failed is retried after its backoff."""
    _shorten_tries(Event.ledger.using(alias()).filter(dispatched_at__isnull=True), 0.0)


@repeated
def _shorten_deliveries() -> None:
    """A handler is called again at the latest after the limit of a call plus the backoff."""
    waiting = Delivery.ledger.using(alias()).filter(delivered_at__isnull=True)
    _shorten_tries(waiting, limits().handler_seconds_max)


@repeated
def _shorten_files() -> None:
    """A file is checked, and its removal retried, at the latest after the limits for these."""
    files = StoredOutput.ledger.using(alias())
    longest = limits().output_unsettled_seconds
    files.filter(check_at__gt=_after(longest)).update(check_at=clock.after(longest))
    longest = limits().output_removal_seconds_max + limits().output_removal_retry_seconds
    files.filter(next_try_at__gt=_after(longest)).update(next_try_at=clock.after(longest))


@repeated
def _shorten_failures() -> None:
    """A step that failed for a job is retried at the latest after the longest backoff."""
    longest = limits().sweep_backoff_seconds_max
    failures(next_try_at__gt=_after(longest)).update(next_try_at=clock.after(longest))


@repeated
def _shorten_rates() -> None:
    """A rate limit ends at the latest after two periods: the next claim then corrects its slots."""
    for table in (Rate, PipelineLimit):
        rows = table.ledger.using(alias()).filter(next_at__gt=_after(0))
        for seconds in list(rows.order_by().values_list("seconds", flat=True).distinct()):
            longest = 2 * seconds * (SLOTS + 1) / SLOTS  # slots may be up to one period ahead
            late = rows.filter(seconds=seconds, next_at__gt=_after(longest))
            late.update(next_at=None)


def _shorten_tries(waiting: Any, call_seconds_max: float) -> None:
    later = waiting.filter(next_try_at__gt=_after(0))
    for tries in list(later.order_by().values_list("tries", flat=True).distinct()):
        longest = call_seconds_max + backoff_seconds(tries - 1) if tries else 0.0
        alike = later.filter(tries=tries, next_try_at__gt=_after(longest))
        alike.update(next_try_at=clock.after(longest))


def _after(seconds: float) -> Combinable:
    """Slightly more than `seconds` from now, so that times written just now are not corrected."""
    return clock.after(seconds + limits().clock_slack_seconds)

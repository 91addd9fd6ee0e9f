"""Deliveries: claiming due ones, recording their results, listing them, and resending one.

Invariants: a delivery is sent by at most one sender at a time, which claims it by moving
`sending_until`; a job's events for one receiver are sent in the order in which they happened.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from django.db.models import Exists, F, OuterRef, Q

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput, NotFound, Refused
from joblot.gauge import Gauge
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.read.gauges import count, overdue_seconds
from joblot.models import WebhookDelivery
from joblot.policy import doubled
from joblot.shown import shown
from joblot.webhooks.post import Answer
from joblot.webhooks.subscriptions import database, find

STATES = ("pending", "delivered", "given_up")

# A claim outlasts a try, so that it expires only if its sender is dead.
_CLAIM_TRIES = 3

_PENDING = Q(next_try_at__isnull=False)


@repeated
@one_snapshot()
def deliveries(
    webhook_id: int, *, state: str | None = None, before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """A page of a webhook's deliveries, newest first, with ids below `before`.

    `state` is one of pending, delivered, given_up. Raises NotFound, InvalidInput.
    """
    of_state = {
        None: Q(),
        "pending": _PENDING,
        "delivered": Q(delivered_at__isnull=False),
        "given_up": Q(delivered_at__isnull=True, next_try_at__isnull=True),
    }
    if state not in of_state:
        raise InvalidInput(f"state: expected one of {', '.join(STATES)}, got {shown(state)}")
    page = _rows().filter(of_state[state], webhook=find(webhook_id))
    if before is not None:
        page = page.filter(pk__lt=before)
    limit = min(limit, limits().page_items_max)
    return [described(row) for row in page.order_by("-pk")[:limit]]


@repeated
def resend(delivery_id: int) -> dict[str, Any]:
    """Send it once more, with as many tries as a new one, whatever its state.

    A delivery that is being sent right now is left alone. Raises NotFound, Refused if the webhook
    has ended.
    """
    row = find_delivery(delivery_id)
    if row.webhook.ended_at is not None:
        raise Refused(f"webhook {row.webhook_id} has ended; create a new one for its receiver")
    _rows().filter(_unclaimed(), pk=delivery_id).update(
        tries=0, next_try_at=clock.now(), delivered_at=None, sending_until=None
    )
    return described(find_delivery(delivery_id))


def find_delivery(delivery_id: int) -> WebhookDelivery:
    """The delivery with its webhook. Raises NotFound."""
    row: WebhookDelivery | None = _rows().filter(pk=delivery_id).select_related("webhook").first()
    if row is None:
        raise NotFound(f"delivery {delivery_id} does not exist; list those of its webhook")
    return row


@repeated
def waiting_receivers(except_for: Collection[int] = ()) -> list[int]:
    """The webhooks that have due deliveries, in random order, so that none is always last."""
    due = _due().exclude(webhook__in=list(except_for)).values_list("webhook_id", flat=True)
    found = list(due.order_by().distinct()[: limits().webhooks_max])
    random.shuffle(found)
    return found


@repeated
@one_snapshot()
def waiting() -> list[Gauge]:
    """How many deliveries are not sent yet, and how long the first due one has waited."""
    ((now,),) = fetch(connection(), "db/clock")
    pending = _rows().filter(_PENDING, webhook__ended_at__isnull=True)
    late = overdue_seconds(pending, "next_try_at", moment(now))
    return [
        Gauge("waiting_deliveries", count(pending), "Webhook deliveries not sent yet."),
        Gauge("delivery_overdue_seconds", late, "How long a delivery is overdue."),
    ]


@repeated
def claim_next(webhook_id: int) -> WebhookDelivery | None:
    """Claim the first due delivery of a webhook, for the caller to send; None if there is none.

    `claimed_at` is the time of the claim, on the database's clock. Only one of two callers gets it.
    """
    due = _due().filter(webhook=webhook_id)
    row: WebhookDelivery | None = (
        due.select_related("webhook").annotate(claimed_at=clock.now()).order_by("event_id").first()
    )
    if row is None:
        return None
    claimed = _rows().filter(_ready(), pk=row.pk, tries=row.tries)
    until = clock.after(_claim_seconds())
    if not claimed.update(tries=F("tries") + 1, sending_until=until):
        return None
    row.tries += 1
    return row


@repeated
def record(row: WebhookDelivery, answer: Answer) -> None:
    """Record the result of a try. A success counts even if the claim has expired."""
    result = {"status": answer.status, "error": answer.error, "sending_until": None}
    if answer.good:
        _rows().filter(pk=row.pk, delivered_at__isnull=True).update(
            delivered_at=clock.now(), next_try_at=None, **result
        )
        return
    mine = _rows().filter(_PENDING, pk=row.pk, tries=row.tries)
    if row.tries >= limits().webhook_tries_max:
        mine.update(next_try_at=None, **result)
        return
    mine.update(next_try_at=clock.after(wait_seconds(row.tries, answer)), **result)
    if answer.retry_after_seconds:
        _hold_back(row.webhook_id, _asked_seconds(answer))


def wait_seconds(tries: int, answer: Answer) -> float:
    """How long to wait after `tries` (1, 2, …) tries: doubles each time, with jitter.

    The jitter keeps receivers that failed together from being called together again.
    """
    most = limits().webhook_backoff_seconds_max
    longest = doubled(limits().webhook_backoff_seconds, tries - 1, most=most)
    return max(longest * random.uniform(0.5, 1.0), _asked_seconds(answer))


def _asked_seconds(answer: Answer) -> float:
    return min(answer.retry_after_seconds or 0.0, limits().webhook_retry_after_seconds_max)


def _hold_back(webhook_id: int, seconds: float) -> None:
    """Delay all pending deliveries of a receiver that asked for a pause."""
    sooner = _rows().filter(webhook=webhook_id, next_try_at__lt=clock.after(seconds))
    sooner.update(next_try_at=clock.after(seconds))


def _due() -> Any:
    earlier = _rows().filter(
        _PENDING,
        webhook=OuterRef("webhook"),
        job_id=OuterRef("job_id"),
        event_id__lt=OuterRef("event_id"),
    )
    return _rows().filter(_ready(), ~Exists(earlier), webhook__ended_at__isnull=True)


def _ready() -> Q:
    """Due; or later than any wait allows, because a clock was ahead."""
    longest = max(limits().webhook_backoff_seconds_max, limits().webhook_retry_after_seconds_max)
    beyond = clock.after(longest + limits().clock_slack_seconds)
    return _unclaimed() & (Q(next_try_at__lte=clock.now()) | Q(next_try_at__gt=beyond))


def _unclaimed() -> Q:
    """Not claimed; or claimed for longer than allowed, because a clock was ahead."""
    beyond = clock.after(_claim_seconds() + limits().clock_slack_seconds)
    return (
        Q(sending_until__isnull=True)
        | Q(sending_until__lte=clock.now())
        | Q(sending_until__gt=beyond)
    )


def _claim_seconds() -> float:
    return _CLAIM_TRIES * limits().webhook_seconds_max


def _rows() -> Any:
    return WebhookDelivery.objects.using(database())


def _state(row: WebhookDelivery) -> str:
    if row.delivered_at is not None:
        return "delivered"
    return "given_up" if row.next_try_at is None else "pending"


def described(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": row.pk,
        "webhook": row.webhook_id,
        "message_id": row.message_id,
        "event": row.event_id,
        "kind": row.kind,
        "job": row.job_id,
        "state": _state(row),
        "tries": row.tries,
        "status": row.status,
        "error": row.error,
        "next_try_at": row.next_try_at and row.next_try_at.isoformat(),
        "delivered_at": row.delivered_at and row.delivered_at.isoformat(),
        "created_at": row.created_at.isoformat(),
    }

"""The webhooks' part of a fan-out: one delivery of an event for each subscribed receiver.

It runs in the transaction that marks the event as fanned out, so each receiver gets one delivery of
each event, and waits for no handler. Nothing is sent here.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from joblot import clock
from joblot.ledger.report.hooks import JobNotice, on_fan_out
from joblot.models import Event, Webhook, WebhookDelivery
from joblot.webhooks.subscriptions import KINDS, database, rows


@on_fan_out(*KINDS)
def spread(event: JobNotice) -> None:
    """Write the deliveries of an event; none if its job is gone."""
    wanting = [hook for hook in rows().filter(ended_at__isnull=True) if event.kind in hook.kinds]
    if not wanting or (about := _about(event)) is None:
        return
    body = json.dumps(about, separators=(",", ":"))
    WebhookDelivery.objects.using(database()).bulk_create(
        WebhookDelivery(
            webhook=hook,
            event_id=event.id,
            job_id=event.job_id,
            kind=event.kind,
            message_id=_message_id(hook, event),
            body=body,
            next_try_at=clock.now(),
            created_at=clock.now(),
        )
        for hook in wanting
        if hook.project in (None, about["data"]["project"])
    )


def _message_id(hook: Webhook, event: JobNotice) -> str:
    """Identifies the event for this receiver; unique across installations."""
    receiver = hashlib.sha256(hook.secret.encode()).hexdigest()[:12]
    return f"{receiver}-job-{event.job_id}-run-{event.run}-revision-{event.revision}-{event.kind}"


def _about(event: JobNotice) -> dict[str, Any] | None:
    """The message: the report stored in the event, which later changes of the job don't affect."""
    rows = Event.objects.using(database()).filter(pk=event.id)
    known = rows.values("at", "job__name", "job__project").first()
    return known and {
        "type": f"job.{event.kind}",
        "timestamp": known["at"].isoformat(),
        "data": {
            "job": event.job_id,
            "name": known["job__name"],
            "project": known["job__project"],
            "run": event.run,
            "revision": event.revision,
            "actor": event.actor,
            "reason": event.reason,
            **event.data,
        },
    }

"""Who is told of a job's events over HTTP, and what came of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Webhook(models.Model):
    """A receiver of events. `kinds` are those it wants; a null `project` means all of them.

    The secret signs what is sent, so it is kept readable.
    """

    url = models.CharField(max_length=2_000)
    secret = models.CharField(max_length=200)
    kinds = models.JSONField()
    project = models.CharField(max_length=200, null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "joblot_webhook"


class WebhookDelivery(models.Model):
    """One event for one receiver, with all that is sent: it outlives its job.

    Invariant: it is tried again while `next_try_at` is not null, and then `delivered_at` is.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    kind = models.CharField(max_length=24)
    message_id = models.CharField(max_length=200)  # the same whenever it is sent
    body = models.TextField()
    tries = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(db_default=Now(), null=True)
    sending_until = models.DateTimeField(null=True)  # nobody else sends it before
    delivered_at = models.DateTimeField(null=True)
    status = models.IntegerField(null=True)  # of the last answer
    error = models.TextField(default="")  # why there was none, or what was wrong with it
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "joblot_webhook_delivery"
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "event_id"], name="joblot_webhook_delivery_once"
            ),
            models.CheckConstraint(
                condition=Q(delivered_at__isnull=True) | Q(next_try_at__isnull=True),
                name="joblot_webhook_delivery_open",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="joblot_webhook_delivery_due",
                condition=Q(next_try_at__isnull=False),
            ),
            # What of the same job is still to be sent to the same receiver, and goes first.
            models.Index(
                fields=["webhook", "job_id", "event_id"],
                name="joblot_webhook_delivery_first",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["job_id"], name="joblot_webhook_delivery_job"),
        ]

"""Webhooks, the receivers of events over HTTP, and their deliveries."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Webhook(models.Model):
    """A receiver of events of these `kinds`. A null `project` means all projects.

    The secret signs what is sent, so it is stored in the clear.
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
    """One event for one receiver, with everything that is sent. It outlives its job.

    Invariant: it is retried while `next_try_at` is not null, and `delivered_at` is null then.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    kind = models.CharField(max_length=24)
    message_id = models.CharField(max_length=200)  # the same in every try
    body = models.TextField()
    tries = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(db_default=Now(), null=True)
    sending_until = models.DateTimeField(null=True)  # no other process sends it before this
    delivered_at = models.DateTimeField(null=True)
    status = models.IntegerField(null=True)  # of the last response
    error = models.TextField(default="")  # why there was none, or why it was not a success
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
            # To find open deliveries of the same job to the same receiver, which are sent first.
            models.Index(
                fields=["webhook", "job_id", "event_id"],
                name="joblot_webhook_delivery_first",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(fields=["job_id"], name="joblot_webhook_delivery_job"),
        ]

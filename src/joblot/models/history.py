"""The history of a job: events, their deliveries, sweep failures, deferrals, logs."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from joblot.guards import LedgerModel
from joblot.models.job import job_key


class Event(LedgerModel):
    """What happened to a job, in order; the outbox delivers it at least once, by its id."""

    id: int
    job = job_key()
    run = models.IntegerField()
    revision = models.IntegerField()
    kind = models.CharField(max_length=24)
    data = models.JSONField(default=dict)
    actor = models.CharField(max_length=200, db_default="")  # who asked; "" for joblot itself
    reason = models.TextField(db_default="")  # that the actor gave
    at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True)
    tries = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["job", "id"], name="joblot_event_job"),
            models.Index(
                fields=["next_try_at"],
                name="joblot_event_undispatched",
                condition=Q(dispatched_at__isnull=True),
            ),
            # To find earlier events of the same job, which are fanned out first.
            models.Index(
                fields=["job", "id"],
                name="joblot_event_first",
                condition=Q(dispatched_at__isnull=True),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "run"],
                name="joblot_event_started_once",
                condition=Q(kind="started"),
            ),
            models.UniqueConstraint(
                fields=["job", "run"],
                name="joblot_event_finished_once",
                condition=Q(kind="finished"),
            ),
            models.UniqueConstraint(
                fields=["job", "run", "revision"],
                name="joblot_event_amended_once",
                condition=Q(kind="amended"),
            ),
            models.UniqueConstraint(
                fields=["job", "run"],
                name="joblot_event_failing_once",
                condition=Q(kind="failing"),
            ),
        ]


class Delivery(LedgerModel):
    """One event for one handler, tried until the handler returns.

    `delivered_at` is written in the same transaction as a transactional handler's own effects.
    Invariant: while `started_at` is set, a call has begun and its result is not known; no other
    process tries before `next_try_at`.
    """

    pk = models.CompositePrimaryKey("event_id", "handler")
    event_id = models.BigIntegerField()
    handler = models.CharField(max_length=200)
    job = job_key()
    tries = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    error = models.TextField(default="")  # of the last try that failed
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["handler", "event_id"],
                name="joblot_delivery_open",
                condition=Q(delivered_at__isnull=True),
            ),
            # To find earlier events of the same job for the same handler, which come first.
            models.Index(
                fields=["job", "handler", "event_id"],
                name="joblot_delivery_first",
                condition=Q(delivered_at__isnull=True),
            ),
        ]


class SweepFailure(LedgerModel):
    """A step of the sweep that fails for a job; the row is deleted when the step succeeds.

    Until then the step is retried for this job at `next_try_at`, after all other jobs.
    """

    pk = models.CompositePrimaryKey("job_id", "step")
    job = job_key()
    step = models.CharField(max_length=16)
    since = models.DateTimeField(db_default=Now())
    tries = models.IntegerField(db_default=1)
    next_try_at = models.DateTimeField(db_default=Now())
    error = models.TextField()

    class Meta:
        db_table = "joblot_sweep_failure"


class Deferral(LedgerModel):
    """A result that was deferred, by the number of its item: what refused it, and when.

    For people; no decision depends on it. It is over once the item's result is recorded, or the
    result was not posted again for `deferral_kept_seconds`.
    """

    pk = models.CompositePrimaryKey("job_id", "stage", "number")
    job = job_key()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    source = models.CharField(max_length=16)  # on_result, on_late, storage
    cause = models.TextField()
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["last_at"], name="joblot_deferral_last")]


class Log(LedgerModel):
    """A diagnostic line. Append-only; never part of a transaction of the work."""

    id: int
    job = job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField(null=True)
    number = models.IntegerField(null=True)
    level = models.CharField(max_length=16)
    source = models.CharField(max_length=200, db_default="")  # the logger's name
    worker = models.CharField(max_length=200, db_default="")
    lease = models.CharField(max_length=8, db_default="")  # the beginning of its token, as its name
    message = models.TextField()
    at = models.DateTimeField(db_default=Now())
    # The job's newest event when this was logged, or 0: the line's place among the events.
    event_id = models.BigIntegerField(db_default=0)

    class Meta:
        indexes = [
            models.Index(fields=["job", "event_id", "id"], name="joblot_log_job"),
            models.Index(
                fields=["job", "number", "event_id", "id"],
                name="joblot_log_item",
                condition=Q(number__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["job"], name="joblot_log_full_once", condition=Q(source="joblot.full")
            )
        ]

"""Access tokens, and the workers that have been seen."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from joblot.guards import LedgerModel
from joblot.models.stored_json import StoredJSON

NO_OWNER = 0  # the owner of workers in this process, as of those with the local token


class Token(models.Model):
    """The right to use the API. The secret itself is shown once and not stored.

    `projects` and `pipelines` are lists of names; null means all of them.
    """

    public_id = models.CharField(max_length=32, unique=True)
    secret_hash = models.BinaryField(max_length=32)  # SHA-256 of a secret of 256 random bits
    name = models.CharField(max_length=200)
    scopes = models.JSONField()
    projects = models.JSONField(null=True)
    pipelines = models.JSONField(null=True)
    in_flight_items_max = models.IntegerField(null=True)
    requests_per_minute_max = models.IntegerField(null=True)
    body_bytes_max = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)  # written now and then
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)


class WorkerInstance(LedgerModel):
    """A worker: a token and the instance id that the worker sends.

    `owner` is the token's id, or NO_OWNER. `pipelines` are those
    that it asked for last, of jobs of `projects`; null means all. While `revoked_at` is set, its
    claims, renewals and reports are refused.
    """

    owner = models.BigIntegerField()
    instance = models.CharField(max_length=200)
    about = StoredJSON(default=dict)  # version, host, hardware: as sent by the worker
    pipelines = models.JSONField(default=list)
    projects = models.JSONField(null=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=200, db_default="")
    revoked_reason = models.TextField(db_default="")

    class Meta:
        db_table = "joblot_worker"
        constraints = [
            models.UniqueConstraint(fields=["owner", "instance"], name="joblot_worker_instance")
        ]
        indexes = [
            models.Index(
                fields=["owner", "instance"],
                name="joblot_worker_revoked",
                condition=Q(revoked_at__isnull=False),
            )
        ]


class WorkerMinute(LedgerModel):
    """What a worker has reported in a minute: results that were recorded, and the last error.

    `minute` numbers the minutes since 1970. `failed` includes failures that will be retried.
    """

    pk = models.CompositePrimaryKey("minute", "owner", "instance")
    minute = models.BigIntegerField()
    owner = models.BigIntegerField()
    instance = models.CharField(max_length=200)
    succeeded = models.IntegerField()
    failed = models.IntegerField()
    error = models.TextField(null=True)

    class Meta:
        db_table = "joblot_worker_minute"


class PipelineAsked(LedgerModel):
    """When a claim last asked for a pipeline: of any job (`job_id` 0), or of one.

    If of any, `project` is the project whose jobs it might get, or "" for all projects.
    """

    pk = models.CompositePrimaryKey("pipeline", "job_id", "project")
    pipeline = models.CharField(max_length=200)
    job_id = models.BigIntegerField()
    project = models.CharField(max_length=200)
    asked_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "joblot_pipeline_asked"

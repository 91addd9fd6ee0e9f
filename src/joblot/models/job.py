"""The job and its stages."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from joblot.errors import LedgerOwned
from joblot.guards import LedgerModel, ReadOnlyQuerySet
from joblot.models.stored_json import StoredJSON
from joblot.states import JobStatus


class JobQuerySet(ReadOnlyQuerySet):
    """Any code may change a job's name, project and priority; only the ledger writes the rest."""

    def update(self, **kwargs: Any) -> int:
        if owned := sorted(set(kwargs) - Job.ADOPTER_FIELDS):
            raise LedgerOwned(_owned_message(owned))
        return super(ReadOnlyQuerySet, self).update(**kwargs)

    def bulk_update(self, objs: Any, fields: Any, batch_size: int | None = None) -> int:
        if owned := sorted(set(fields) - Job.ADOPTER_FIELDS):
            raise LedgerOwned(_owned_message(owned))
        return super(ReadOnlyQuerySet, self).bulk_update(objs, fields, batch_size)


def _owned_message(fields: list[str]) -> str:
    return (
        f"Job.{', Job.'.join(fields)}: written by joblot's verbs only, so that a stale instance "
        f"can't undo them; {', '.join(sorted(Job.ADOPTER_FIELDS))} may be saved"
    )


class Job(LedgerModel):
    """A named set of items with its policy and status.

    Invariant: every change of a column that is not in ADOPTER_FIELDS increments `version`. A
    trigger refuses any other change, and a status change outside `states.TRANSITIONS`.
    """

    ADOPTER_FIELDS = frozenset({"name", "project", "priority"})

    name = models.CharField(max_length=200)
    project = models.CharField(max_length=200, default="default")
    priority = models.IntegerField(default=0)
    # Who submitted it: the actor of its first event; "" if that is not known. Never changes.
    owner = models.CharField(max_length=200, default="")
    idempotency_key = models.CharField(max_length=200, null=True)
    # What was requested with the key, as hashes by `asked.fingerprints`; never changes.
    asked = models.JSONField(null=True)

    status = models.CharField(
        max_length=24,
        choices=[(s.value, s.value) for s in JobStatus],
        default=JobStatus.CREATED.value,
    )
    run = models.IntegerField(default=1)
    revision = models.IntegerField(default=0)
    version = models.BigIntegerField(default=0)
    sealed = models.BooleanField(default=False)
    total = models.IntegerField(default=0)
    config = StoredJSON(null=True)
    policy = models.JSONField(default=dict)
    # What the last finish or amendment recorded, per stage; null until the run has ended.
    recorded = models.JSONField(null=True)
    # Where a retry continues reopening, as {stage, number, start, by, cause}; null when it is done.
    reopening = models.JSONField(null=True)
    # The span that submitted the job, as a W3C traceparent; its claims and reports continue it.
    trace = models.CharField(max_length=55, null=True)

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_closes_at = models.DateTimeField(null=True)
    # When its removal began, by `delete` or `prune`. From then on only `total` changes.
    deleted_at = models.DateTimeField(null=True)

    objects: ClassVar[Any] = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "idempotency_key"], name="joblot_job_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in JobStatus]), name="joblot_job_status"
            ),
            models.CheckConstraint(
                condition=Q(run__gte=1, revision__gte=0, total__gte=0), name="joblot_job_counts"
            ),
        ]
        indexes = [
            # Also counts of each status, of all projects or of some, without reading the rows.
            models.Index(fields=["status", "deleted_at", "project"], name="joblot_job_status_idx"),
            # Pages of a status, in the order of their ids.
            models.Index(
                fields=["status", "id"],
                name="joblot_job_page_of_status",
                condition=Q(deleted_at__isnull=True),
            ),
            models.Index(fields=["name", "id"], name="joblot_job_name"),
            models.Index(fields=["owner", "id"], name="joblot_job_owner"),
            models.Index(
                fields=["total"], name="joblot_job_removal", condition=Q(deleted_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.name})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the fields that an adopter may change; all others keep the database's values."""
        if self._state.adding:
            raise LedgerOwned("a job is made by joblot.submit(), so that its items come with it")
        asked = kwargs.get("update_fields")
        if asked is not None and (owned := sorted(set(asked) - self.ADOPTER_FIELDS)):
            raise LedgerOwned(_owned_message(owned))
        kwargs["update_fields"] = self.ADOPTER_FIELDS if asked is None else asked
        models.Model.save(self, *args, **kwargs)


def job_key() -> models.ForeignKey[Any, Any]:
    """A foreign key to the job, without a constraint in the database."""
    return models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )


class Stage(LedgerModel):
    """A named step that every item passes; workers of its pipeline serve it."""

    pk = models.CompositePrimaryKey("job_id", "position")
    job = job_key()
    position = models.SmallIntegerField()
    name = models.CharField(max_length=200)
    pipeline = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["pipeline", "job"], name="joblot_stage_pipeline")]

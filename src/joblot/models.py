"""The tables. Only `joblot.ledger` writes them; everybody may read them.

Hot tables have no foreign-key constraint: checking one would share-lock the job's row, and no
result may wait for another's.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from joblot.errors import LedgerOwned
from joblot.guards import LedgerModel, ReadOnlyQuerySet
from joblot.states import ItemState, JobStatus, LeaseState


class JobQuerySet(ReadOnlyQuerySet):
    """Jobs may be renamed and re-prioritised by anybody; the rest is the ledger's."""

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
    """A named lot of items with its policy and status.

    Invariant: every change of a column that is not in ADOPTER_FIELDS comes with version + 1; a
    trigger refuses it otherwise, and refuses a status change outside `states.TRANSITIONS`.
    """

    ADOPTER_FIELDS = frozenset({"name", "project", "priority"})

    name = models.CharField(max_length=200)
    project = models.CharField(max_length=200, default="default")
    priority = models.IntegerField(default=0)
    idempotency_key = models.CharField(max_length=200, null=True)

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
    config = models.JSONField(null=True)
    policy = models.JSONField(default=dict)
    # What the last finish or amendment recorded, per stage; null until the run has ended.
    recorded = models.JSONField(null=True)
    # Where a retry goes on reopening, as [stage, number]; null when it is through.
    reopening = models.JSONField(null=True)

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_closes_at = models.DateTimeField(null=True)
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
        indexes = [models.Index(fields=["status"], name="joblot_job_status_idx")]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.name})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save what an adopter may change; every other field is left as the database has it."""
        if self._state.adding:
            raise LedgerOwned("a job is made by joblot.submit(), so that its items come with it")
        asked = kwargs.get("update_fields")
        if asked is not None and (owned := sorted(set(asked) - self.ADOPTER_FIELDS)):
            raise LedgerOwned(_owned_message(owned))
        kwargs["update_fields"] = self.ADOPTER_FIELDS if asked is None else asked
        models.Model.save(self, *args, **kwargs)


def _job_key() -> models.ForeignKey[Any, Any]:
    """A column that joins to the job but makes the database check nothing."""
    return models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )


class Stage(LedgerModel):
    """A named step that every item passes; workers of its pipeline serve it."""

    pk = models.CompositePrimaryKey("job_id", "position")
    job = _job_key()
    position = models.SmallIntegerField()
    name = models.CharField(max_length=200)
    pipeline = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["pipeline", "job"], name="joblot_stage_pipeline")]


class Item(LedgerModel):
    """One unit of work, never changed after it was added. `number` is dense in its job, from 0."""

    pk = models.CompositePrimaryKey("job_id", "number")
    job = _job_key()
    number = models.IntegerField()
    key = models.CharField(max_length=512)
    payload = models.JSONField(null=True)

    class Meta:
        # The key first: of two indexes that begin with the job, PostgreSQL may read the whole job
        # through the wrong one, as long as it has no statistics of it.
        constraints = [models.UniqueConstraint(fields=["key", "job"], name="joblot_item_key")]


class ItemRange(LedgerModel):
    """Items that wait, by number: `next` to `last`, of one job and stage.

    `failures` and `expiries` are used-up budget. `returns` says how often these items came back
    by expiry: -1 never, but a worker gave them back; 0 never; 1 together; 2 one by one, and such
    an item is leased alone.
    """

    id: int
    job = _job_key()
    stage = models.SmallIntegerField()
    next = models.IntegerField()
    last = models.IntegerField()
    not_before = models.DateTimeField(db_default=Now())
    failures = models.IntegerField(db_default=0)
    expiries = models.IntegerField(db_default=0)
    returns = models.SmallIntegerField(db_default=0)

    class Meta:
        db_table = "joblot_range"
        indexes = [models.Index(fields=["job", "stage", "id"], name="joblot_range_walk")]


class Lease(LedgerModel):
    """One worker's right to report; its row is the mutex between a report and everything else.

    `ranges` is a list of [first, last, failures, expiries, returns]. `gone` lists the numbers
    that this lease no longer holds though it did not settle them. `open` is what it still holds.
    """

    token = models.UUIDField(primary_key=True, default=uuid.uuid4)
    job = _job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    state = models.SmallIntegerField(default=LeaseState.LIVE.value)
    size = models.IntegerField()
    open = models.IntegerField()
    ranges = models.JSONField()
    gone = models.JSONField(default=list)
    worker = models.CharField(max_length=200, default="")
    idempotency_key = models.CharField(max_length=200, null=True)
    claimed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["job", "state"], name="joblot_lease_job_state"),
            models.Index(
                fields=["expires_at"],
                name="joblot_lease_expiry",
                condition=Q(state=LeaseState.LIVE.value),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key"],
                name="joblot_lease_idempotency_key",
                condition=Q(idempotency_key__isnull=False),
            )
        ]


class Outcome(LedgerModel):
    """How an item was settled in a stage. That this row exists is what "settled" means."""

    pk = models.CompositePrimaryKey("job_id", "stage", "number")
    job = _job_key()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    run = models.IntegerField()
    state = models.SmallIntegerField(choices=[(s.value, s.name) for s in ItemState])
    hash = models.BinaryField(max_length=32, null=True)
    output = models.JSONField(null=True)
    output_ref = models.CharField(max_length=200, null=True)
    metrics = models.JSONField(null=True)
    error_type = models.CharField(max_length=200, null=True)
    error_message = models.TextField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(db_default=Now())


class Tally(LedgerModel):
    """The counts of a stage, spread over slots so that writers never meet; the sum is the truth.

    Only sums are >= 0: an amendment subtracts in its own slot what another slot has counted.
    Slot 0 is where the sweep folds the slots of a job that has ended.
    """

    pk = models.CompositePrimaryKey("job_id", "stage", "slot")
    job = _job_key()
    stage = models.SmallIntegerField()
    slot = models.SmallIntegerField()
    succeeded = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    lost = models.BigIntegerField(db_default=0)
    skipped = models.BigIntegerField(db_default=0)
    late = models.BigIntegerField(db_default=0)

    class Meta:
        indexes = [
            models.Index(fields=["job"], name="joblot_tally_unfolded", condition=Q(slot__gt=0)),
        ]


class Metric(LedgerModel):
    """The sums of a stage's metrics, in the same slots as its tally."""

    pk = models.CompositePrimaryKey("job_id", "stage", "slot", "name")
    job = _job_key()
    stage = models.SmallIntegerField()
    slot = models.SmallIntegerField()
    name = models.CharField(max_length=100)
    value = models.BigIntegerField(db_default=0)


class Attempt(LedgerModel):
    """A try that did not settle its item: a failure within the budget, or an expired lease."""

    id: int
    job = _job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    cause = models.CharField(max_length=16)  # failed, expired
    error_type = models.CharField(max_length=200)
    error_message = models.TextField()
    worker = models.CharField(max_length=200, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["job", "number"], name="joblot_attempt_item")]


class Uncounted(LedgerModel):
    """A result that came and was not counted, kept to be looked at: late or conflicting."""

    id: int
    job = _job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    receipt = models.CharField(max_length=16)
    hash = models.BinaryField(max_length=32)
    output = models.JSONField(null=True)
    output_ref = models.CharField(max_length=200, null=True)
    lease_token = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "run", "stage", "number"],
                name="joblot_uncounted_late_once",
                condition=Q(receipt="late"),
            ),
            models.UniqueConstraint(
                fields=["job", "stage", "number", "hash"],
                name="joblot_uncounted_conflict_once",
                condition=Q(receipt="conflicting"),
            ),
        ]


class Event(LedgerModel):
    """What happened to a job, in order; the outbox delivers it at least once, by its id."""

    id: int
    job = _job_key()
    run = models.IntegerField()
    revision = models.IntegerField()
    kind = models.CharField(max_length=24)
    data = models.JSONField(default=dict)
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
        ]
        constraints = [
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
        ]


class Delivery(LedgerModel):
    """That a handler has had an event; written in the transaction of the handler's own effects."""

    pk = models.CompositePrimaryKey("event_id", "handler")
    event_id = models.BigIntegerField()
    handler = models.CharField(max_length=200)
    delivered_at = models.DateTimeField(db_default=Now())


class Log(LedgerModel):
    """A diagnostic line. Append-only; never in the transaction of any work."""

    id: int
    job = _job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField(null=True)
    number = models.IntegerField(null=True)
    level = models.CharField(max_length=16)
    message = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["job", "id"], name="joblot_log_job")]

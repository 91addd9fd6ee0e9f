"""The results of the items: outcomes, their counts, and uncounted results."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from joblot.guards import LedgerModel
from joblot.models.job import job_key
from joblot.models.stored_json import StoredJSON
from joblot.states import FileState, ItemState


class Outcome(LedgerModel):
    """How an item was settled in a stage. "Settled" means that this row exists."""

    pk = models.CompositePrimaryKey("job_id", "stage", "number")
    job = job_key()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    run = models.IntegerField()
    state = models.SmallIntegerField(choices=[(s.value, s.name) for s in ItemState])
    hash = models.BinaryField(max_length=32, null=True)
    output = StoredJSON(null=True)
    output_ref = models.CharField(max_length=200, null=True)
    metrics = models.JSONField(null=True)
    error_type = models.CharField(max_length=200, null=True)
    error_message = models.TextField(null=True)
    error_cause = models.CharField(max_length=16, null=True)
    error_traceback = models.TextField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(db_default=Now())
    amends = models.SmallIntegerField(null=True)  # what the item was, if a success has amended it

    class Meta:
        indexes = [
            # Only for failed and lost items: a success, the usual outcome, costs nothing extra.
            models.Index(
                fields=["job", "number"],
                name="joblot_outcome_given_up",
                condition=Q(state__in=[ItemState.FAILED.value, ItemState.LOST.value]),
            ),
            # Covers the counts and the workers of each cause.
            models.Index(
                fields=["job", "error_cause", "number", "stage", "settled_at", "lease_token"],
                name="joblot_outcome_cause",
                condition=Q(state__in=[ItemState.FAILED.value, ItemState.LOST.value]),
            ),
            models.Index(
                fields=["output_ref"],
                name="joblot_outcome_output_ref",
                condition=Q(output_ref__isnull=False),
            ),
        ]


class StoredOutput(LedgerModel):
    """The file of an output that is too large for a row. The row is inserted before the file.

    `check_at` is when the sweep checks whether anything refers to the file. It is null from when a
    reference was found until a reference is removed. If there is none, the row is marked for
    removal: nothing may refer to the file any more, and the next try to remove it is due at
    `next_try_at`. While `started_at` is set, a try has begun and its result is not known.
    """

    name = models.CharField(max_length=200, primary_key=True)
    hash = models.BinaryField(max_length=32)
    state = models.SmallIntegerField(choices=[(s.value, s.name) for s in FileState])
    check_at = models.DateTimeField(null=True)
    tries = models.IntegerField(db_default=0)
    next_try_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    error = models.TextField(default="")  # of the last try that failed

    class Meta:
        db_table = "joblot_stored_output"
        indexes = [
            models.Index(fields=["hash"], name="joblot_stored_output_hash"),
            models.Index(
                fields=["check_at"],
                name="joblot_stored_output_check",
                condition=Q(check_at__isnull=False),
            ),
            models.Index(
                fields=["next_try_at"],
                name="joblot_stored_output_removal",
                condition=Q(next_try_at__isnull=False),
            ),
        ]


class Tally(LedgerModel):
    """The counts of a stage, spread over slots so that writers seldom meet; the sum is the count.

    Only sums are >= 0: an amendment subtracts in its own slot what another slot has counted. The
    sweep folds the slots of a job that has ended into slot 0.
    """

    pk = models.CompositePrimaryKey("job_id", "stage", "slot")
    job = job_key()
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
    job = job_key()
    stage = models.SmallIntegerField()
    slot = models.SmallIntegerField()
    name = models.CharField(max_length=100)
    value = models.BigIntegerField(db_default=0)


class Attempt(LedgerModel):
    """A try that did not settle its item: a failure within the budget, or an expired lease."""

    id: int
    job = job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    cause = models.CharField(max_length=16)  # failed, expired
    error_type = models.CharField(max_length=200)
    error_message = models.TextField()
    error_cause = models.CharField(max_length=16, default="")
    error_traceback = models.TextField(default="")
    worker = models.CharField(max_length=200, default="")
    leased_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["job", "number"], name="joblot_attempt_item")]


class Uncounted(LedgerModel):
    """A result that was received but not counted, kept for inspection: late or conflicting."""

    id: int
    job = job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    number = models.IntegerField()
    receipt = models.CharField(max_length=16)
    hash = models.BinaryField(max_length=32)
    output = StoredJSON(null=True)
    output_ref = models.CharField(max_length=200, null=True)
    lease_token = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["job", "number"], name="joblot_uncounted_item"),
            models.Index(
                fields=["output_ref"],
                name="joblot_uncounted_output_ref",
                condition=Q(output_ref__isnull=False),
            ),
        ]
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


class Sample(LedgerModel):
    """The progress of a job at a moment, written by the sweep, for throughput and estimates.

    `tick` numbers the intervals of `SAMPLE_SECONDS` since 1970, so that two sweeps write one row.
    `stages` has [succeeded, failed and lost, skipped] for each stage.
    """

    pk = models.CompositePrimaryKey("job_id", "tick")
    job = job_key()
    tick = models.BigIntegerField()
    run = models.IntegerField()
    at = models.DateTimeField()
    stages = models.JSONField()
    in_flight = models.IntegerField()
    workers = models.IntegerField()

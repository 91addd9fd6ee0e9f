"""The queue: items, ranges of waiting items, leases."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from joblot.guards import LedgerModel
from joblot.models.job import job_key
from joblot.models.stored_json import StoredJSON
from joblot.states import CAN_SETTLE, LeaseState


class Item(LedgerModel):
    """One unit of work, never changed once added. `number` is dense in its job, from 0."""

    pk = models.CompositePrimaryKey("job_id", "number")
    job = job_key()
    number = models.IntegerField()
    key = models.CharField(max_length=512)
    payload = StoredJSON(null=True)

    class Meta:
        # The key comes first: with two indexes that begin with the job, PostgreSQL may read the
        # whole job through the wrong one while it has no statistics.
        constraints = [models.UniqueConstraint(fields=["key", "job"], name="joblot_item_key")]


class ItemRange(LedgerModel):
    """Waiting items by number: `next` to `last`, of one job and stage.

    `failures` and `expiries` are used budget. `returns` says how these items returned to the queue
    from a lease: 0 never; -1 released by a worker, never by expiry; 1 by expiry, together; 2 by
    expiry, one by one, and such an item is leased alone.
    """

    id: int
    job = job_key()
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


class Rate(LedgerModel):
    """What a job with a rate limit has granted lately. Its row is locked by one claim at a time.

    `granted` is a list of [slot, items], oldest first: a slot is a sixtieth of `seconds`, numbered
    since 1970. Until `next_at` nothing may be granted; a hint, for readers only.
    """

    job_id = models.BigIntegerField(primary_key=True)
    seconds = models.FloatField()
    granted = models.JSONField(default=list)
    next_at = models.DateTimeField(null=True)


class PipelineLimit(LedgerModel):
    """The rate limit and the cap of a pipeline, over all of its jobs; null means none.

    A claim of a limited pipeline locks the row. `granted`, its period `seconds` and `next_at` are
    those of Rate.
    """

    pipeline = models.CharField(max_length=200, primary_key=True)
    in_flight_items_max = models.IntegerField(null=True)
    rate_items_max = models.IntegerField(null=True)
    rate_seconds = models.FloatField()
    seconds = models.FloatField()
    granted = models.JSONField(default=list)
    next_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(db_default=Now())
    changed_by = models.CharField(max_length=200, db_default="")
    reason = models.TextField(db_default="")

    class Meta:
        db_table = "joblot_pipeline_limit"


class Lease(LedgerModel):
    """One worker's right to report; its row is the mutex between a report and everything else.

    `ranges` is a list of [first, last, failures, expiries, returns]. `gone` lists the numbers that
    this lease gave back without settling them. `open` is the number of items that it still holds,
    or held when it was closed.
    """

    token = models.UUIDField(primary_key=True, default=uuid.uuid4)
    job = job_key()
    run = models.IntegerField()
    stage = models.SmallIntegerField()
    state = models.SmallIntegerField(default=LeaseState.LIVE.value)
    size = models.IntegerField()
    open = models.IntegerField()
    ranges = models.JSONField()
    gone = models.JSONField(default=list)
    worker = models.CharField(max_length=200, default="")
    owner = models.BigIntegerField(null=True)  # the caller that claimed it; caps count per owner
    idempotency_key = models.CharField(max_length=200, null=True)
    asked = models.BinaryField(null=True)  # a hash of the claim made with the key
    progress = models.JSONField(null=True)  # in its current call, as of the last renewal
    claimed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["job", "state", "stage"], name="joblot_lease_job_state"),
            models.Index(
                fields=["owner"],
                name="joblot_lease_owner",
                condition=Q(state=LeaseState.LIVE.value, owner__isnull=False),
            ),
            # Always not null; the condition reserves this index for queries by time. Otherwise a
            # plan made while few leases are live would use it for other queries.
            models.Index(
                fields=["expires_at"],
                name="joblot_lease_expiry",
                condition=Q(state=LeaseState.LIVE.value, expires_at__isnull=False),
            ),
            # Leases that were live when they were closed, for what a cancel has cut off.
            models.Index(
                fields=["job", "run", "stage"],
                name="joblot_lease_cut_off",
                condition=Q(state=LeaseState.CLOSED.value, open__gt=0),
            ),
            # Leases that hold nothing and gave something back: a cancel closes these, and leaves
            # those that have settled all of their items, of which a large job has many.
            models.Index(
                fields=["job"],
                name="joblot_lease_gave_back",
                condition=Q(state=LeaseState.SPENT.value) & ~Q(gone=[]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key"],
                name="joblot_lease_idempotency_key",
                condition=Q(idempotency_key__isnull=False),
            )
        ]


# The state is a literal in the statement: PostgreSQL can't use a partial index on live leases for a
# statement planned with the state as a parameter. To test whether a live lease exists, order by an
# index and take the first: without an order, PostgreSQL may scan the table.
LIVE = Q(state=Func(template=str(LeaseState.LIVE.value), output_field=models.SmallIntegerField()))
# All live leases, for queries without a time predicate. IS NOT NULL would not do: PostgreSQL 17 and
# newer remove it, and then can't tell that the partial index covers all of these.
LIVE_BY_TIME = LIVE & Q(
    expires_at__gt=Func(template="'1970-01-01'", output_field=models.DateTimeField())
)
# Leases through which an open item may be settled: those that hold one, or gave one back.
MAY_SETTLE = Q(state__in=CAN_SETTLE) | (Q(state=LeaseState.SPENT) & ~Q(gone=[]))

"""What waits, and who has it: items, ranges, leases."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from joblot.guards import LedgerModel
from joblot.models.job import job_key
from joblot.models.stored_json import StoredJSON
from joblot.states import LeaseState


class Item(LedgerModel):
    """One unit of work, never changed after it was added. `number` is dense in its job, from 0."""

    pk = models.CompositePrimaryKey("job_id", "number")
    job = job_key()
    number = models.IntegerField()
    key = models.CharField(max_length=512)
    payload = StoredJSON(null=True)

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


class Lease(LedgerModel):
    """One worker's right to report; its row is the mutex between a report and everything else.

    `ranges` is a list of [first, last, failures, expiries, returns]. `gone` lists the numbers
    that this lease no longer holds though it did not settle them. `open` is what it still holds.
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
    owner = models.BigIntegerField(null=True)  # whose right it was claimed by; caps count by it
    idempotency_key = models.CharField(max_length=200, null=True)
    asked = models.BinaryField(null=True)  # what was claimed with the key, as a hash
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
            # That it is not null is always so, but it keeps this index for those who ask by time: a
            # plan made while few leases are live would look by it for a lease of any other kind.
            models.Index(
                fields=["expires_at"],
                name="joblot_lease_expiry",
                condition=Q(state=LeaseState.LIVE.value, expires_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key"],
                name="joblot_lease_idempotency_key",
                condition=Q(idempotency_key__isnull=False),
            )
        ]


# The state stands in the statement itself: an index of live leases only is of no use to a statement
# that PostgreSQL has planned for any state. Who asks whether there is one asks for the first by an
# index: to find any one, PostgreSQL may walk over the table.
LIVE = Q(state=Func(template=str(LeaseState.LIVE.value), output_field=models.SmallIntegerField()))
# All that are live, for who has no bound of time of its own. To ask for what is not null would not
# do: PostgreSQL 17 and newer leave that out, and don't know then that the index has all of these.
LIVE_BY_TIME = LIVE & Q(
    expires_at__gt=Func(template="'1970-01-01'", output_field=models.DateTimeField())
)

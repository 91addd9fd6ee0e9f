"""Submit a job of one item, in one transaction that locks no row and compares nothing.

It is what `submit` makes of one item without an idempotency key, in half of the statements: the job
is sealed from the beginning, with its total, so there is no row to lock, nothing to seal and, since
its item is open, nothing to reconcile.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from joblot import clock, telemetry
from joblot.config import default_policy
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows.author import NOBODY
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.job import read_job, record_event
from joblot.ledger.rows.names import checked_name, checked_priority
from joblot.ledger.rows.ranges import Span, enqueue
from joblot.ledger.submit.items import Given, NewItem, checked_item
from joblot.models import Job, Stage
from joblot.policy import Policy
from joblot.states import JobStatus


@telemetry.verb("submit")
def submit_one(
    name: str,
    item: Given,
    *,
    pipeline: str,
    project: str = "default",
    priority: int = 0,
    policy: Mapping[str, Any] | None = None,
    not_before: datetime | None = None,
) -> Job:
    """Make a job of this item; it can be claimed at once, or from the moment `not_before` on.

    Inside a caller's transaction everything belongs to that transaction, and nothing that another
    transaction may wait for is locked. Raises InvalidInput, InvalidItem, InvalidPolicy.
    """
    fields = {
        "name": checked_name(name, "name"),
        "project": checked_name(project, "project"),
        "priority": checked_priority(priority),
        "policy": Policy.of(policy, default_policy()).as_json(),
        "status": JobStatus.PENDING.value,
        "sealed": True,
        "total": 1,
    }
    return _made(fields, checked_name(pipeline, "pipeline"), checked_item(item), not_before)


@repeated
def _made(
    fields: Mapping[str, Any], pipeline: str, item: NewItem, not_before: datetime | None
) -> Job:
    conn = connection()
    with transaction.atomic(using=alias(), savepoint=False):
        job: Job = Job.ledger.using(alias()).create(
            **fields, trace=telemetry.traceparent(), created_at=clock.now()
        )
        Stage.ledger.using(alias()).bulk_create(
            [Stage(job_id=job.pk, position=0, name=pipeline, pipeline=pipeline)]
        )
        record_event(job.pk, 1, 0, "started", {}, by=NOBODY)
        row = (job.pk, 0, item.key, item.payload)
        dialect_of(conn).insert(conn, "joblot_item", "job_id, number, key, payload", [row])
        enqueue(job.pk, 0, [Span(0, 0)], not_before=not_before)
        note_claimable()
        return read_job(job.pk)

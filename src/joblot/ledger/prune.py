"""Prune: remove the rows of jobs that were deleted, or that ended long ago."""

from __future__ import annotations

from datetime import timedelta

from django.db import models

from joblot import clock
from joblot.config import limits
from joblot.guards import LedgerModel
from joblot.ledger.transactions import alias, durable, repeated
from joblot.models import (
    Attempt,
    Delivery,
    Event,
    Item,
    ItemRange,
    Job,
    Lease,
    Log,
    Metric,
    Outcome,
    Stage,
    Tally,
    Uncounted,
    WebhookDelivery,
)
from joblot.states import TERMINAL

_BULKY: tuple[type[LedgerModel], ...] = (Item, Outcome, Attempt, ItemRange, Log, Metric, Tally)
_ALL: tuple[type[LedgerModel], ...] = (*_BULKY, Uncounted, Event, Stage)


def prune(older_than: timedelta) -> int:
    """Remove every job that ended longer ago than this, with all its rows; returns how many.

    Results that come later are answered `rejected`: unknown lease.
    """
    job_ids = _ended(older_than)
    for job_id in job_ids:
        remove(job_id)
    return len(job_ids)


@repeated
def _ended(older_than: timedelta) -> list[int]:
    ended = Job.ledger.using(alias()).filter(
        status__in=TERMINAL, finished_at__lt=clock.now() - older_than
    )
    return list(ended.values_list("pk", flat=True))


def purge_deleted() -> None:
    """Remove the bulk of deleted jobs. Leases stay, so that late results get a clear answer."""
    for job_id in _bulky():
        for model in _BULKY:
            _remove_rows(model, job_id)


@repeated
def _bulky() -> list[int]:
    mine = {"job_id": models.OuterRef("pk")}
    bulky = models.Exists(Item.ledger.filter(**mine)) | models.Exists(Tally.ledger.filter(**mine))
    deleted = Job.ledger.using(alias()).filter(bulky, deleted_at__isnull=False)
    return list(deleted.values_list("pk", flat=True)[: limits().sweep_jobs_batch])


@repeated
def remove(job_id: int) -> None:
    """Remove every row of a job that has ended or was deleted. Does nothing where there is none.

    Leases first: from then on nothing can be settled. The job's row last, to be found again.
    """
    _remove_rows(Lease, job_id)
    events = Event.ledger.using(alias()).filter(job_id=job_id).values_list("pk", flat=True)
    Delivery.ledger.using(alias()).filter(event_id__in=list(events)).delete()
    told = WebhookDelivery.objects.using(alias()).filter(job_id=job_id)
    told.filter(next_try_at__isnull=True).delete()  # what is still to be sent outlives the job
    for model in _ALL:
        _remove_rows(model, job_id)
    Job.ledger.using(alias()).filter(pk=job_id).delete()


@repeated
def _remove_rows(model: type[LedgerModel], job_id: int) -> None:
    with durable():
        model.ledger.using(alias()).filter(job_id=job_id).delete()

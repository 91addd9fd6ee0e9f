"""Closing a run to its workers: first no claim is granted, then no lease's results count."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.models import ItemRange, Job, Lease
from joblot.states import UNCLOSED, JobStatus, LeaseState


@repeated
def drain_claims(job_id: int, statuses: Collection[JobStatus], run: int) -> None:
    """Delete the ranges, and so wait for every claim that read an earlier status.

    One statement: it sees no range of a later run while it sees the job in this run, and in one of
    these statuses, in which no claim is granted.
    """
    drained = Job.ledger.filter(pk=OuterRef("job_id"), status__in=statuses, run=run)
    with durable():
        ItemRange.ledger.using(alias()).filter(Exists(drained), job_id=job_id).delete()


def close_leases(job_id: int, run: int) -> None:
    """Close every lease of the job up to this run, in short batches; waits for reports in flight.

    Closes expired leases too: a success through one would count. Leases of a later run stay: the
    caller may have been overtaken, with its run over and the next begun. `open` stays as well, and
    so says which items were in flight.

    A lease that was live keeps the number of items that it held, so that a cancel can be explained.

    Holds no lock while it waits: each batch skips locked leases, and when only locked ones are left
    it waits for one at a time.
    """
    batch = limits().close_leases_batch
    while _close_batch(job_id, run, batch, skip_locked=True) == batch:
        pass
    while _close_batch(job_id, run, 1, skip_locked=False):
        pass


@repeated
def _close_batch(job_id: int, run: int, size: int, *, skip_locked: bool) -> int:
    with durable():
        unclosed = Lease.ledger.using(alias()).filter(
            job_id=job_id, run__lte=run, state__in=UNCLOSED
        )
        locked = unclosed.order_by("state", "stage").select_for_update(skip_locked=skip_locked)
        tokens = list(locked.values_list("pk", flat=True)[:size])
        if not tokens:
            return 0
        closed = Lease.ledger.using(alias()).filter(pk__in=tokens)
        return closed.update(state=LeaseState.CLOSED)

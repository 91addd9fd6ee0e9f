"""Results that came and don't count: kept, so that nobody's work is thrown away unseen."""

from __future__ import annotations

from django.db import IntegrityError

from joblot import clock
from joblot.ledger.db.transactions import alias, savepoint
from joblot.ledger.report.pending_result import Posted
from joblot.models import Job, Lease, Uncounted
from joblot.states import JobStatus, Receipt


def why_late(job: Job, lease: Lease) -> str:
    """Why a result through this lease no longer counts."""
    if job.deleted_at is not None:
        return "the job was deleted"
    if job.run != lease.run:
        return f"run {lease.run} is over; the job is in run {job.run}"
    if job.status in (JobStatus.CANCELING, JobStatus.REVOKED):
        return "the job was cancelled"
    return "the item was given up in this stage; its later stages were skipped"


def is_kept(lease: Lease, one: Posted) -> bool:
    """Whether `keep` has nothing more to keep."""
    rows = Uncounted.ledger.using(alias()).filter(
        job_id=lease.job_id, stage=lease.stage, number=one.number
    )
    late = rows.filter(receipt=Receipt.LATE.value, run=lease.run)
    conflicting = rows.filter(receipt=Receipt.CONFLICTING.value, hash=one.hash)
    return bool((late if one.receipt is Receipt.LATE else conflicting).exists())


def keep(lease: Lease, one: Posted) -> bool:
    """Keep a success that is late or conflicting; False if it is kept already.

    A late one is kept once an item and run, a conflicting one once for each different output.
    """
    assert one.receipt is not None
    try:
        with savepoint():
            Uncounted.ledger.using(alias()).create(
                job_id=lease.job_id,
                run=lease.run,
                stage=lease.stage,
                number=one.number,
                receipt=one.receipt.value,
                hash=one.hash,
                output=None if one.large else one.result.output,
                output_ref=one.output_ref,
                lease_token=lease.pk,
                at=clock.now(),
            )
    except IntegrityError:
        return False
    return True

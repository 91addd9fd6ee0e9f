"""Results that came and don't count: kept, so that nobody's work is thrown away unseen."""

from __future__ import annotations

from django.db import IntegrityError

from joblot import clock
from joblot.ledger.posted import Posted
from joblot.ledger.transactions import alias, savepoint
from joblot.models import Job, Lease, Uncounted
from joblot.states import JobStatus


def why_late(job: Job, lease: Lease) -> str:
    """Why a result through this lease no longer counts."""
    if job.deleted_at is not None:
        return "the job was deleted"
    if job.run != lease.run:
        return f"run {lease.run} is over; the job is in run {job.run}"
    if job.status in (JobStatus.CANCELING, JobStatus.REVOKED):
        return "the job was cancelled"
    return "the item was given up in this stage; its later stages were skipped"


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
                output=one.result.output if one.output_ref is None else None,
                output_ref=one.output_ref,
                lease_token=lease.pk,
                at=clock.now(),
            )
    except IntegrityError:
        return False
    return True

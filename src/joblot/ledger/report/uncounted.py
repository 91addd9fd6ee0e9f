"""Successes that don't count, kept for inspection."""

from __future__ import annotations

from collections.abc import Collection

from joblot.ledger.db.transactions import alias
from joblot.ledger.report.judge import Kept
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


def kept_of(lease: Lease, numbers: Collection[int]) -> set[Kept]:
    """What is kept already of these items: late ones of this run, conflicting ones of any."""
    rows = Uncounted.ledger.using(alias()).filter(
        job_id=lease.job_id, stage=lease.stage, number__in=list(numbers)
    )
    found: set[Kept] = set()
    for number, receipt, run, digest in rows.values_list("number", "receipt", "run", "hash"):
        if receipt == Receipt.CONFLICTING.value:
            found.add((Receipt.CONFLICTING, number, bytes(digest)))
        elif run == lease.run:
            found.add((Receipt.LATE, number, None))
    return found

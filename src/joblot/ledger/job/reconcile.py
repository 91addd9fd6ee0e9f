"""Reconciliation: after a commit, read the job again, and write what is due by compare-and-set.

Why it is exact: settling changes no shared row, so any number of reports may commit concurrently,
but the last to commit sees the sum of all of them in a new snapshot. The write names the version
that was read with the counts, so a decision made before a retry, a pause or another change can't be
written after it. The loser of the compare-and-set reconciles again, until nothing is due.
"""

from __future__ import annotations

from typing import Any

from joblot import clock
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.transactions import repeated
from joblot.ledger.rows.author import NOBODY
from joblot.ledger.rows.due import Due, JobSnapshot, decide, read_snapshot
from joblot.ledger.rows.job import NewEvent, advance_and_record
from joblot.states import AMENDABLE, JobStatus


def reconcile(job_id: int) -> JobStatus | None:
    """Write whatever is due for the job, until nothing is.

    Returns the job's final status, or None if there is no such job. Raises Unavailable if overtaken
    `reconcile_rounds_max` times.
    """
    for _ in range(limits().reconcile_rounds_max):
        found = read_snapshot(job_id)
        due = decide(found) if found else None
        if found is None or due is None:
            return found.status if found else None
        if write(found, due) and due.kind == "finished" and due.status not in AMENDABLE:
            return due.status  # nothing can be due after this
    raise Unavailable(
        f"job {job_id}: {limits().reconcile_rounds_max} tries to reconcile it were overtaken by "
        "other changes; try again"
    )


@repeated
def write(found: JobSnapshot, due: Due) -> bool:
    """End or amend the run, with its counts and its event, if the version is still the one read.

    An alert changes only the version, so that of two concurrent alerts only one writes its event.
    A halt changes only the status: the run goes on once the job is resumed, and the sweep continues
    a cancel.
    """
    changes: dict[str, Any] = {}
    if due.kind != "failing":
        changes["status"] = due.status.value
    if due.kind in ("finished", "amended"):
        changes |= {"revision": due.revision, "recorded": found.counts}
    if due.kind == "finished":
        changes["finished_at"] = clock.now()
    if due.status is JobStatus.CANCELING:
        changes["cancel_closes_at"] = None
    data: dict[str, Any] = {
        "status": due.status.value,
        "total": found.total,
        "stages": [
            {"name": name} | counts for name, counts in zip(found.names, found.counts, strict=True)
        ],
    }
    if due.limit is not None:
        data |= {"limit": due.limit.setting, "allowed": due.limit.allowed}
    by = found.canceled_by if due.status is JobStatus.REVOKED else NOBODY
    event = NewEvent(found.run, due.revision, due.kind, data, by)
    return advance_and_record(found.job_id, found.version, event, **changes)

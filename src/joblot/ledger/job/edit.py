"""Edit: change how a job is served."""

from __future__ import annotations

from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.rows.job import read_job
from joblot.models import Job
from joblot.shown import shown

PRIORITY_MAX = 2**31 - 1


def edit(job_id: int, *, priority: int) -> Job:
    """Change the job's priority; the next claim sees it. Raises InvalidInput, NotFound."""
    if isinstance(priority, bool) or abs(priority) > PRIORITY_MAX:
        raise InvalidInput(
            f"priority: expected a whole number, -{PRIORITY_MAX} to {PRIORITY_MAX}, "
            f"got {shown(priority)}"
        )
    read_job(job_id)
    _write(job_id, priority)
    return read_job(job_id)


@repeated
def _write(job_id: int, priority: int) -> None:
    Job.ledger.using(alias()).filter(pk=job_id).update(priority=priority)

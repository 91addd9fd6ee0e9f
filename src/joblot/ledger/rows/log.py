"""A job's log: append-only lines, independent of the work.

Logging never touches the job's row, never takes part in a transaction of the work, and never
raises.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, connection
from joblot.models import Job, Log

logger = logging.getLogger("joblot.ledger")

LEVELS = ("debug", "info", "warning", "error")


def log(
    job_id: int,
    message: str,
    *,
    level: str = "info",
    stage: int | None = None,
    number: int | None = None,
) -> bool:
    """Append a line; returns False if it could not be stored, instead of failing the work.

    Inside a caller's transaction the line goes only to Python's logging: a failed insert there
    would roll back the work.
    """
    clean = message.replace("\x00", "\ufffd").encode(errors="replace").decode()
    text = clean[: limits().error_chars_max]
    if connection().in_atomic_block:
        logger.info("job %s: %s", job_id, text)
        return False
    try:
        line = Log.ledger.using(alias()).create(
            job_id=job_id,
            run=_run_of(job_id),
            stage=stage,
            number=number,
            level=level if level in LEVELS else "info",
            message=text,
            at=clock.now(),
        )
        _take_back_if_removed(job_id, line)
    except (DatabaseError, Job.DoesNotExist) as error:
        logger.warning("job %s: a log line was dropped: %s", job_id, error)
        return False
    return True


def _run_of(job_id: int) -> int:
    """The job's run. Raises Job.DoesNotExist, also for a job that is being removed."""
    jobs = Job.ledger.using(alias()).filter(deleted_at__isnull=True)
    run: int = jobs.values_list("run", flat=True).get(pk=job_id)
    return run


def _take_back_if_removed(job_id: int, line: Log) -> None:
    """Ensure without locks that no line outlives its job.

    A removal checks for lines once more after the job's row is gone: either it sees this line, or
    the row was gone before the line was inserted.
    """
    try:
        _run_of(job_id)
    except Job.DoesNotExist:
        Log.ledger.using(alias()).filter(pk=line.pk).delete()
        raise

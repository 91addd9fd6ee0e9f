"""A job's log: append-only lines beside the work, never in its way.

Logging never touches the job's row, is never in a transaction of any work, and never raises.
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
    """Append a line; False if it could not be kept, for the work must go on.

    Inside somebody's transaction the line goes to Python's logging only: a failing insert there
    would take the work with it.
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
    """Raises Job.DoesNotExist, also for a job that is being removed."""
    jobs = Job.ledger.using(alias()).filter(deleted_at__isnull=True)
    run: int = jobs.values_list("run", flat=True).get(pk=job_id)
    return run


def _take_back_if_removed(job_id: int, line: Log) -> None:
    """No line outlives its job, though it locks nothing of it.

    A removal looks for lines once more after the job's row is gone: either it sees this line, or
    the row was gone before the line was there.
    """
    try:
        _run_of(job_id)
    except Job.DoesNotExist:
        Log.ledger.using(alias()).filter(pk=line.pk).delete()
        raise

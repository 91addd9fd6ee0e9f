"""A job's log: append-only lines beside the work, never in its way.

Logging never touches the job's row, is never in a transaction of any work, and never raises.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError

from joblot import clock
from joblot.config import limits
from joblot.ledger.jobs import read_job
from joblot.ledger.snapshot import one_snapshot
from joblot.ledger.transactions import alias, connection, repeated
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
        run = Job.ledger.using(alias()).values_list("run", flat=True).get(pk=job_id)
        Log.ledger.using(alias()).create(
            job_id=job_id,
            run=run,
            stage=stage,
            number=number,
            level=level if level in LEVELS else "info",
            message=text,
            at=clock.now(),
        )
    except (DatabaseError, Job.DoesNotExist) as error:
        logger.warning("job %s: a log line was dropped: %s", job_id, error)
        return False
    return True


@repeated
@one_snapshot()
def logs(job_id: int, *, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
    """A page of lines, oldest first; the next page is `after` the last id. Raises NotFound."""
    read_job(job_id)
    rows = Log.ledger.using(alias()).filter(job_id=job_id, pk__gt=after).order_by("pk")
    return [
        {
            "id": line.pk,
            "run": line.run,
            "stage": line.stage,
            "item": line.number,
            "level": line.level,
            "message": line.message,
            "at": line.at.isoformat(),
        }
        for line in rows[: max(1, min(limit, limits().page_items_max))]
    ]

"""A job's log: append-only lines beside the work, bounded per job.

Logging never touches the job's row, never takes part in a transaction of the work, and never fails
it. What a verb does is an event, so it is not logged as well: `read/log_lines.py` shows both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db import DatabaseError
from django.db.models import Count, Sum
from django.db.models.functions import Length

from joblot import clock
from joblot.clean_text import clean, shortened
from joblot.config import limits
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.rows.job import stages_of
from joblot.log_context import lease_name
from joblot.models import Event, Job, Log
from joblot.shown import shown
from joblot.wire import ITEM_MAX

logger = logging.getLogger("joblot.ledger")

LEVELS = ("debug", "info", "warning", "error")
FULL = "joblot.full"  # the source of the one line that says that a log is full
_EVENTS_MAX = 20  # among which the place of a line is found that was logged a moment ago


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be logged. `age` is how many seconds ago it was."""

    message: str
    level: str = "info"
    stage: str | None = None
    number: int | None = None
    source: str = ""
    worker: str = ""
    lease: str = ""
    age: float = 0.0


def log(
    job_id: int,
    message: str,
    *,
    level: str = "info",
    stage: str | None = None,
    number: int | None = None,
    source: str = "",
    worker: str = "",
    lease: str = "",
) -> bool:
    """Append a line; returns False if it could not be stored, instead of failing the work.

    Inside a caller's transaction the line goes only to Python's logging: a failed insert there
    would roll back the work. `JobLogHandler` has no such limit.
    """
    line = Line(str(message), level, stage, number, source, worker, lease)
    if connection().in_atomic_block:
        text, about = shown(line.message, 1_000), {"job": job_id, "item": number}
        logger.info("job %s: %s", job_id, text, extra=about)
        return False
    try:
        return append(job_id, [line]) == 1
    except Job.DoesNotExist:
        return False
    except DatabaseError as error:
        about = {"job": job_id}
        logger.warning("job %s: a log line was dropped: %s", job_id, error, extra=about)
        return False


def append(job_id: int, lines: Sequence[Line]) -> int:
    """Append lines, oldest first, as far as the job's log has room; returns how many.

    Raises DatabaseError; Job.DoesNotExist, also for a job that is being removed.
    """
    events = _newest_events(job_id)
    fitting = _fitting(job_id, lines)
    stages = _positions(job_id, fitting)
    rows = [_row(job_id, line, stages, events) for line in fitting]
    if len(fitting) < len(lines):
        rows.append(_full(job_id, events[0]))
    stored = Log.ledger.using(alias()).bulk_create(rows, ignore_conflicts=len(fitting) < len(lines))
    _take_back_if_removed(job_id, stored)
    return len(fitting)


@dataclass(frozen=True, slots=True)
class _Moment:
    """An event, and the time at which it was read."""

    event_id: int
    run: int
    at: datetime
    now: datetime


def _newest_events(job_id: int) -> list[_Moment]:
    """The job's newest events, newest first. Raises Job.DoesNotExist if the job is gone."""
    mine = Event.ledger.using(alias()).filter(job_id=job_id, job__deleted_at__isnull=True)
    newest = mine.order_by("-pk").annotate(now=clock.now())
    found = [_Moment(*row) for row in newest.values_list("pk", "run", "at", "now")[:_EVENTS_MAX]]
    if not found:
        raise Job.DoesNotExist(f"job {job_id} does not exist")
    return found


def _fitting(job_id: int, lines: Sequence[Line]) -> Sequence[Line]:
    """Those of the lines for which the log has room.

    Processes that log at the same time don't see each other's lines, so a log may exceed its
    limits by what they were writing.
    """
    mine = Log.ledger.using(alias()).filter(job_id=job_id)
    used = mine.aggregate(lines=Count("pk"), chars=Sum(Length("message"), default=0))
    most = limits().error_chars_max
    sizes = accumulate((min(len(line.message), most) for line in lines), initial=used["chars"])
    by_chars = sum(1 for size in list(sizes)[1:] if size <= limits().log_chars_max)
    return lines[: max(0, min(by_chars, limits().log_lines_max - used["lines"]))]


def _positions(job_id: int, lines: Sequence[Line]) -> dict[str | None, int]:
    if all(line.stage is None for line in lines):
        return {}
    return {stage.name: stage.position for stage in stages_of(job_id)}


def _row(job_id: int, line: Line, stages: dict[str | None, int], events: Sequence[_Moment]) -> Log:
    at = events[0].now - timedelta(seconds=line.age)
    after = next((event for event in events if event.at <= at), events[-1])
    names = limits().name_chars_max
    return Log(
        job_id=job_id,
        run=after.run,
        stage=stages.get(line.stage),
        number=_item(line.number),
        level=line.level if line.level in LEVELS else "info",
        source=clean(line.source)[:names],
        worker=clean(line.worker)[:names],
        lease=lease_name(clean(line.lease)),
        message=shortened(clean(line.message), limits().error_chars_max),
        at=at,
        event_id=after.event_id,
    )


def _full(job_id: int, newest: _Moment) -> Log:
    """Says once that the log is full: a constraint refuses a second such line."""
    text = (
        f"this log is full (log_lines_max is {limits().log_lines_max:,}, log_chars_max "
        f"{limits().log_chars_max:,}): later lines are not kept here"
    )
    line = Line(text, level="warning", source=FULL)
    return _row(job_id, line, {}, [newest])


def _item(number: Any) -> int | None:
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return number if is_number and 0 <= number <= ITEM_MAX else None


def _take_back_if_removed(job_id: int, lines: Sequence[Log]) -> None:
    """Ensure without locks that no line outlives its job. Raises Job.DoesNotExist.

    A removal checks for lines once more after the job's row is gone: either it sees these, or the
    row was gone before they were inserted.
    """
    if Job.ledger.using(alias()).filter(pk=job_id, deleted_at__isnull=True).exists():
        return
    mine = Log.ledger.using(alias()).filter(job_id=job_id)
    mine.filter(pk__in=[line.pk for line in lines if line.pk]).delete()
    raise Job.DoesNotExist(f"job {job_id} is being removed")

"""Why a job is not finished: what each of its open items waits for, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.progress import progress
from joblot.ledger.read.reasons.deferred import of_deferrals
from joblot.ledger.read.reasons.held import of_leases
from joblot.ledger.read.reasons.job import of_job
from joblot.ledger.read.reasons.killers import of_killers
from joblot.ledger.read.reasons.reason import Asked, Reason, reason, worst_first
from joblot.ledger.read.reasons.waiting import of_queue
from joblot.ledger.read.undelivered import stuck_events, undelivered
from joblot.ledger.rows.job import read_job
from joblot.ledger.rows.sweep_failures import failing

ROWS_SHOWN_MAX = 10  # of one table
REASONS_SHOWN_MAX = 6


@repeated
@one_snapshot()
def why(job_id: int, *, owner: int | None = None) -> dict[str, list[Reason]]:
    """Reasons as `{"code", "text", "count"}`, worst first, at most six and a line for the rest.

    `count` is a number of items, 0 for the whole job. Where they apply, a reason also has `since`
    and `until` (ISO 8601), `act` (start, resume, seal, retry, repair or sweep) and `link`, relative
    to the job. `owner` restricts which other workers are described; None describes all.

    Momentary and for people; no decision depends on it. Raises NotFound.
    """
    return {"reasons": reasons_of(progress(job_id), owner=owner)}


def reasons_of(state: dict[str, Any], *, owner: int | None = None) -> list[Reason]:
    """The reasons of a job whose progress is `state`, read in the same snapshot."""
    now = datetime.fromisoformat(state["as_of"])
    asked = Asked(read_job(state["id"]), state, now, owner)
    reasons = [
        *of_job(asked),
        *_of_sweep(asked),
        *of_deferrals(asked),
        *of_leases(asked),
        *of_killers(asked),
        *of_queue(asked),
        *_of_events(asked),
    ]
    return worst_first(reasons, REASONS_SHOWN_MAX)


def _of_sweep(asked: Asked) -> Iterator[Reason]:
    """Steps of the sweep that are due for the job and fail."""
    for step in failing(ROWS_SHOWN_MAX, job_id=asked.job.pk):
        yield reason("sweep_fails", str(step), since=step.since, until=step.next_try_at)
    for text in stuck_events(ROWS_SHOWN_MAX, job_id=asked.job.pk):
        yield reason("sweep_fails", text)


def _of_events(asked: Asked) -> Iterator[Reason]:
    """For each handler, its first undelivered event; the job itself waits for none of them."""
    for one in undelivered(ROWS_SHOWN_MAX, job_id=asked.job.pk):
        yield reason("undelivered", str(one), since=one.started_at, until=one.next_try_at)

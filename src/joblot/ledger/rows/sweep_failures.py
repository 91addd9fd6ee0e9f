"""Steps of the sweep that fail for one job: each is recorded, shown, and retried after all others.

A step that fails for a job is put off, for longer each time, and until then the sweep's selection
skips the job; so failing jobs never delay the others, however many there are. The record is deleted
when the step succeeds. If the record can't be written either, the database itself fails, and the
round ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Exists, F, OuterRef

from joblot import clock
from joblot.config import limits
from joblot.errors import NotFound
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.error_text import error_text
from joblot.models import SweepFailure
from joblot.policy import doubled
from joblot.shown import to_the_second

logger = logging.getLogger("joblot.ledger")


class Step(StrEnum):
    """The steps that the sweep does for one job at a time."""

    WAITS = "waits"
    EXPIRE = "expire"
    CANCEL = "cancel"
    REOPEN = "reopen"
    FINISH = "finish"
    MERGE = "merge"
    REMOVE = "remove"
    SAMPLE = "sample"


_MEANS = {
    Step.WAITS: "bringing forward what waits for too long",
    Step.EXPIRE: "expiring its leases",
    Step.CANCEL: "ending its cancel",
    Step.REOPEN: "continuing its retry",
    Step.FINISH: "recording its end",
    Step.MERGE: "merging its ranges",
    Step.REMOVE: "removing its rows",
    Step.SAMPLE: "sampling its progress",
}


def each(step: Step, jobs: Iterable[int], act: Callable[[int], object]) -> None:
    """Call `act` for each of the jobs; a failure for one does not affect the others."""
    for job_id in jobs:
        attempt(step, job_id, act)


def attempt(step: Step, job_id: int, act: Callable[[int], object]) -> bool:
    """Call `act` for the job; False if it failed, which is recorded. A missing job is ignored.

    Raises Unavailable if the database itself failed.
    """
    try:
        act(job_id)
    except NotFound:
        pass
    except Exception as error:  # noqa: BLE001 (logged by `failed`, or the database's and raised)
        failed(step, job_id, error)
        return False
    return True


def failed(step: Step, job_id: int, error: Exception) -> None:
    """Put the job off for this step, and log the error. Raises Unavailable."""
    _note(step, job_id, error)
    what, about = "job %s: %s failed; it will be retried", {"job": job_id}
    logger.error(what, job_id, _MEANS[step], exc_info=error, extra=about)


def try_again(acts: Mapping[Step, Callable[[int], object]]) -> None:
    """Retry failed steps that are due, longest waiting first; forget those that succeed."""
    for name, job_id in _due():
        step = Step(name)
        if attempt(step, job_id, acts[step]):
            forget(step, job_id)


def put_off(step: Step, job: str) -> Exists:
    """A condition for selecting a step's jobs: the step has failed. `job` names the id's column."""
    return Exists(SweepFailure.ledger.filter(job_id=OuterRef(job), step=step.value))


@repeated
def _note(step: Step, job_id: int, error: Exception) -> None:
    text = error_text(error).partition("\n")[0]  # on later lines PostgreSQL shows rows
    with durable():
        row = _row(step, job_id).select_for_update().first()
        if row is None:
            first = SweepFailure(
                job_id=job_id,
                step=step.value,
                since=clock.now(),
                next_try_at=clock.after(limits().sweep_backoff_seconds),
                error=text,
            )
            SweepFailure.ledger.using(alias()).bulk_create([first], ignore_conflicts=True)
        else:
            most = limits().sweep_backoff_seconds_max
            wait = doubled(limits().sweep_backoff_seconds, row.tries, most=most)
            _row(step, job_id).update(
                tries=F("tries") + 1, next_try_at=clock.after(wait), error=text
            )


@repeated
def forget(step: Step, job_id: int) -> None:
    _row(step, job_id).delete()


def _row(step: Step, job_id: int) -> Any:
    return failures(job_id=job_id).filter(step=step.value)


@repeated
def _due() -> list[tuple[str, int]]:
    rows = failures(next_try_at__lte=clock.now()).order_by("next_try_at")
    return list(rows.values_list("step", "job_id")[: limits().sweep_jobs_batch])


def failures(**where: Any) -> Any:
    """The failing steps, of those that this version knows."""
    return SweepFailure.ledger.using(alias()).filter(step__in=[one.value for one in Step], **where)


# For people


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that fails for a job: since when, how often, why, and when it is retried."""

    job_id: int
    step: Step
    since: datetime
    tries: int
    next_try_at: datetime
    error: str

    def __str__(self) -> str:
        return (
            f"{_MEANS[self.step]} has failed {self.tries} times since {to_the_second(self.since)} "
            f"({self.error}); next try at {to_the_second(self.next_try_at)}"
        )


def failing(rows_max: int, **where: Any) -> list[Failure]:
    """The failing steps, longest failing first."""
    rows = failures(**where).order_by("since", "job_id", "step")[:rows_max]
    return [
        Failure(row.job_id, Step(row.step), row.since, row.tries, row.next_try_at, row.error[:200])
        for row in rows
    ]

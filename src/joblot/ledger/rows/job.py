"""The job's row: reading it, and changing it by compare-and-set.

Invariant: every change of an owned column names the version that was read, and increments it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q

from joblot import clock
from joblot.config import Policy, limits
from joblot.errors import NotFound, Unavailable, WrongStatus
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.rows.author import NOBODY, Author
from joblot.models import Event, Job, Stage
from joblot.states import TRANSITIONS, JobStatus, JobTransition, sources


@repeated
def read_job(job_id: int, *, deleted: bool = False) -> Job:
    """The job as it is now in the writing database. Raises NotFound."""
    found: Job | None = next(iter(Job.ledger.using(alias()).filter(pk=job_id)), None)
    if found is None or (found.deleted_at is not None and not deleted):
        raise unknown_job(job_id)
    return found


def lock_job(job_id: int) -> Job:
    """The job, its row locked until the transaction ends. Raises NotFound."""
    jobs = Job.ledger.using(alias()).select_for_update()
    found: Job | None = next(iter(jobs.filter(pk=job_id)), None)
    if found is None or found.deleted_at is not None:
        raise unknown_job(job_id)
    return found


def unknown_job(job_id: int) -> NotFound:
    return NotFound(f"job {job_id} does not exist; `joblot jobs` lists those that do")


def stages_of(job_id: int) -> list[Stage]:
    return list(Stage.ledger.using(alias()).filter(job_id=job_id).order_by("position"))


def policy_of(job: Job) -> Policy:
    return Policy(**job.policy)


def advance(job_id: int, version: int, only: Q | None = None, **changes: Any) -> bool:
    """Change the job if it still has `version`, and `only` holds. Returns whether this won."""
    row = Job.ledger.using(alias()).filter(pk=job_id, version=version)
    return row.filter(only or Q()).update(version=F("version") + 1, **changes) == 1


def require_transition(job: Job, transition: JobTransition) -> JobStatus:
    """The status that `transition` leads to. Raises WrongStatus if it is not allowed.

    Only for transitions with one target; for finishing and amending, the verdict decides.
    """
    targets = TRANSITIONS.get((JobStatus(job.status), transition))
    if targets is None:
        allowed = ", ".join(sorted(sources(transition)))
        raise WrongStatus(
            f"job {job.pk} is {job.status}; {transition.value} is possible in {allowed} only"
        )
    (target,) = targets
    return target


def record_event(
    job_id: int,
    run: int,
    revision: int,
    kind: str,
    data: dict[str, Any],
    *,
    by: Author = NOBODY,
) -> None:
    """Put an event into the outbox, in the transaction of the change that it describes."""
    Event.ledger.using(alias()).create(
        job_id=job_id,
        run=run,
        revision=revision,
        kind=kind,
        data=data,
        actor=by.actor,
        reason=by.reason,
        at=clock.now(),
        next_try_at=clock.now(),
    )


def overtaken(job_id: int) -> Unavailable:
    """The error of a compare-and-set that lost every round."""
    return Unavailable(
        f"job {job_id}: {limits().reconcile_rounds_max} tries were overtaken by other changes; "
        "try again"
    )

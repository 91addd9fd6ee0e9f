"""The job's row: reading it, and changing it by compare-and-set.

Invariant: every change of an owned column names the version that was read, and increments it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, sql

from joblot import clock
from joblot.config import limits
from joblot.errors import NotFound, Unavailable, WrongStatus
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import now_of
from joblot.ledger.db.transactions import alias, connection, durable, repeated, require_durable
from joblot.ledger.rows.author import NOBODY, Author
from joblot.models import Event, Job, Stage
from joblot.policy import Policy
from joblot.states import TRANSITIONS, JobStatus, JobTransition, sources
from joblot.words import any_of, quoted


@repeated
def read_job(job_id: int, *, deleted: bool = False) -> Job:
    """The job as it is now in the writing database. Raises NotFound."""
    found: Job | None = next(iter(Job.ledger.using(alias()).filter(pk=job_id)), None)
    if found is None or (found.deleted_at is not None and not deleted):
        raise unknown_job(job_id)
    return found


@repeated
def job_with_key(project: str, key: str) -> Job | None:
    """The job of a project with this idempotency key."""
    jobs = Job.ledger.using(alias()).filter(project=project, idempotency_key=key)
    found: Job | None = jobs.first()
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
    row = _at_version(job_id, version, only)
    return row.update(version=F("version") + 1, **changes) == 1


def advance_and_record(
    job_id: int, version: int, event: NewEvent, only: Q | None = None, **changes: Any
) -> bool:
    """The same, with its event, in a transaction of its own; on PostgreSQL in one statement."""
    conn = connection()
    require_durable(conn)
    if not dialect_of(conn).writes_in_with:
        with durable():
            won = advance(job_id, version, only, **changes)
            if won:
                record_event(job_id, *event[:4], by=event.by)
        return won
    update, params = _update_of(_at_version(job_id, version, only), changes)
    now, at = now_of(conn)
    with conn.cursor() as cursor:
        cursor.execute(
            f"WITH changed AS ({update} RETURNING 1) INSERT INTO joblot_event "  # noqa: S608 (Django's)
            "(job_id, run, revision, kind, data, actor, reason, at, next_try_at) "
            f"SELECT %s, %s, %s, %s, %s::jsonb, %s, %s, {now}, {now} FROM changed",
            [*params, job_id, *event.columns(), *at, *at],
        )
        return bool(cursor.rowcount)


def _at_version(job_id: int, version: int, only: Q | None) -> QuerySet[Job]:
    rows: QuerySet[Job] = Job.ledger.using(alias()).filter(pk=job_id, version=version)
    return rows.filter(only or Q())


def _update_of(row: QuerySet[Job], changes: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The statement that `row.update()` would run."""
    query: Any = row.query.chain(sql.UpdateQuery)
    query.add_update_values({"version": F("version") + 1, **changes})
    text, params = query.get_compiler(alias()).as_sql()
    return text, tuple(params)


def require_transition(job: Job, transition: JobTransition) -> JobStatus:
    """The status that `transition` leads to. Raises WrongStatus if it is not allowed.

    Only for transitions with one target; for finishing and amending, the verdict decides.
    """
    targets = TRANSITIONS.get((JobStatus(job.status), transition))
    if targets is None:
        raise WrongStatus(
            f"job {job.pk} is {quoted(job.status)}; {transition.value} is possible only if it is "
            f"{any_of(sources(transition))}"
        )
    (target,) = targets
    return target


class NewEvent(NamedTuple):
    """An event of a job that is about to be recorded."""

    run: int
    revision: int
    kind: str
    data: dict[str, Any]
    by: Author = NOBODY

    def columns(self) -> tuple[Any, ...]:
        data = json.dumps(self.data)
        return self.run, self.revision, self.kind, data, self.by.actor, self.by.reason


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

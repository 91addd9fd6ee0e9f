"""Workers: an owner and the instance id that a worker sends; when each was last seen, and when a
pipeline was last asked for.

These are hints for people: they are written separately from the work, at most every
`worker_seen_seconds` for each worker of a process, and twice in that time for each pipeline, and a
failure to write one is harmless. Only a revocation decides something.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

from django.db import DatabaseError
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from joblot import clock
from joblot.canonical import canonical
from joblot.config import limits
from joblot.errors import InvalidInput, InvalidResult, WorkerRevoked
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows import worker_figures
from joblot.ledger.rows.names import checked_name
from joblot.models import NO_OWNER, PipelineAsked, WorkerInstance
from joblot.shown import to_the_second

logger = logging.getLogger("joblot.ledger")

ANY_JOB = 0  # the job of a pipeline that was asked for without naming one
ANY_PROJECT = ""  # its project, if it was asked for in all projects
_REMEMBERED_MAX = 100_000


class Serves(NamedTuple):
    """What a claim has asked for; `projects` None: of all."""

    pipelines: tuple[str, ...]
    projects: tuple[str, ...] | None


@dataclass(slots=True)
class _Seen:
    at: float = float("-inf")
    about: Any = None
    serves: Serves | None = None


_lock = threading.Lock()
# Threads: read and changed under the lock only.
_seen: dict[tuple[str, int, str], _Seen] = {}
# Threads: as above.
_asked_at: dict[tuple[str, str, int, str], float] = {}


def seen(owner: int, instance: str, about: Any = None) -> None:
    """Record that this worker made a request; `about`, a JSON object, is its own description."""
    checked_name(instance, "Joblot-Worker")
    about = _checked_about(about)
    if news := _news(owner, instance, about=about):
        _try(instance, lambda: _write(owner, instance, **news))


def asked(
    owner: int | None,
    instance: str,
    pipelines: Collection[str],
    job: int | None,
    projects: tuple[str, ...] | None = None,
) -> None:
    """Record that a claim has asked for these pipelines; `instance` is "" if it named no worker.

    `job`: the job that it has named and got items of, ANY_JOB, or None if it got none: what is
    asked of one job is kept with its rows. `projects`: those whose jobs it might get; None: all.
    """
    key = (owner or NO_OWNER, instance)
    serves = Serves(tuple(pipelines), projects)
    if news := _news(*key, serves=serves) if instance else {}:
        _try(instance, lambda: _write(*key, **news))
    if job is None:
        return
    of = (ANY_PROJECT,) if job != ANY_JOB or serves.projects is None else serves.projects
    if due := [one for one in product(serves.pipelines, of) if _is_due(job, *one)]:
        _try(instance, lambda: _write_asked(job, due))


def revoked_at() -> Subquery:
    """For leases: when their worker was revoked, or null.

    A scalar: PostgreSQL would turn EXISTS into a join, and may read all workers for it.
    """
    mine = _revoked().filter(owner=Coalesce(OuterRef("owner"), NO_OWNER))
    return Subquery(mine.filter(instance=OuterRef("worker")).values("revoked_at")[:1])


@repeated
def require_not_revoked(owner: int | None, instance: str) -> None:
    """Raises WorkerRevoked."""
    if not instance:
        return
    key = {"owner": owner or NO_OWNER, "instance": instance}
    for (at,) in fetch(connection(), "rows/revoked_at", **key):
        raise refusal(instance, moment(at))


def refusal(instance: str, at: datetime) -> WorkerRevoked:
    return WorkerRevoked(
        f"worker {instance} was revoked at {to_the_second(at)}: stop, and ask the operator; its "
        "items are done by others"
    )


@repeated
def any_revoked() -> bool:
    return bool(_revoked().using(alias()).exists())


def _revoked() -> Any:
    return WorkerInstance.ledger.filter(revoked_at__isnull=False)


@repeated
def remove(prefix: str) -> None:
    """Remove the rows of workers without a token whose names begin so, which will not return."""
    WorkerInstance.ledger.using(alias()).filter(
        owner=NO_OWNER, instance__startswith=prefix
    ).delete()


def forget() -> None:
    """Forget what was written, when this process is pointed at another database."""
    worker_figures.forget()
    with _lock:
        _seen.clear()
        _asked_at.clear()


def _try(instance: str, write: Any) -> None:
    try:
        write()
    except DatabaseError as error:
        logger.warning("worker %s was seen, but that could not be recorded: %s", instance, error)


def _news(owner: int, instance: str, **reported: Any) -> dict[str, Any]:
    """What is to be written of the worker: something every `worker_seen_seconds`, and what is new.

    Empty if nothing is due.
    """
    now = time.monotonic()
    with _lock:
        if len(_seen) >= _REMEMBERED_MAX:
            _seen.clear()
        known = _seen.setdefault((alias(), owner, instance), _Seen())
        if now - known.at > limits().worker_kept_seconds / 2:
            known.about = known.serves = None  # its row may have been removed
        given = {name: value for name, value in reported.items() if value is not None}
        changed = {name: value for name, value in given.items() if getattr(known, name) != value}
        if not changed and now - known.at < limits().worker_seen_seconds:
            return {}
        known.at = now
        for name, value in changed.items():
            setattr(known, name, value)
    return {"last_seen_at": clock.now()} | changed


def _is_due(job: int, pipeline: str, project: str) -> bool:
    key, now = (alias(), pipeline, job, project), time.monotonic()
    with _lock:
        if now - _asked_at.get(key, float("-inf")) < limits().worker_seen_seconds:
            return False
        if len(_asked_at) >= _REMEMBERED_MAX:
            _asked_at.clear()
        # At random: processes that began together would all wait for the row at the same moment.
        _asked_at[key] = now - random.uniform(0, 0.5) * limits().worker_seen_seconds
    return True


def _checked_about(about: Any) -> Any:
    if about is None:
        return None
    try:
        size = len(canonical(about).encode())
    except InvalidResult as error:
        raise InvalidInput(f"about: {error}") from error
    if not isinstance(about, dict) or size > limits().worker_about_bytes_max:
        raise InvalidInput(
            f"about: expected an object of at most {limits().worker_about_bytes_max} bytes"
        )
    return about


def _write(owner: int, instance: str, **changes: Any) -> None:
    if serves := changes.pop("serves", None):
        changes |= serves._asdict()
    rows = WorkerInstance.ledger.using(alias())
    if rows.filter(owner=owner, instance=instance).update(**changes):
        return
    row = WorkerInstance(owner=owner, instance=instance, first_seen_at=clock.now(), **changes)
    rows.bulk_create([row], ignore_conflicts=True)


def _write_asked(job: int, due: Collection[tuple[str, str]]) -> None:
    rows = [
        PipelineAsked(pipeline=pipeline, job_id=job, project=project, asked_at=clock.now())
        for pipeline, project in due
    ]
    PipelineAsked.ledger.using(alias()).bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["pipeline", "job_id", "project"],
        update_fields=["asked_at"],
    )

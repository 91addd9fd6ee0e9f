"""What the current code works on: the job, the item and the lease that log lines name.

Imports no Django: a worker sets it around its function, the ledger around hooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

FIELDS = ("job", "stage", "item", "worker", "lease")

# Threads: each has its own context.
_current: ContextVar[Mapping[str, Any]] = ContextVar("joblot_log_context")


@contextmanager
def job_log(
    job: Any,
    *,
    stage: str | None = None,
    item: int | None = None,
    worker: str | None = None,
    lease: str | None = None,
) -> Iterator[None]:
    """What is logged inside the block is about this job, and this item if there is one.

    `JobLogHandler` puts it into the job's log, and the log lines of joblot's own processes name it.
    `job` is a job's id, or a Job. The block belongs to this thread, or this task of asyncio.
    """
    given = {"job": job, "stage": stage, "item": item, "worker": worker, "lease": lease}
    token = _current.set({name: value for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        _current.reset(token)


def context_of(record: Any) -> dict[str, Any]:
    """What a log record is about: its own `extra`, and the rest from the block around it.

    "job" is there only if it is a job's id. The block says nothing of a record about another job.
    """
    own = {name: vars(record)[name] for name in FIELDS if vars(record).get(name) is not None}
    around = _current.get({})
    if "job" in own and job_id_of(own["job"]) != job_id_of(around.get("job")):
        around = {}
    known = {**around, **own}
    job_id = job_id_of(known.get("job"))
    known.pop("job", None)
    return known if job_id is None else {"job": job_id, **known}


def job_id_of(given: Any) -> int | None:
    """The id of a job, given as such or as a Job; None for anything else."""
    number = getattr(given, "pk", given)
    is_id = isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63
    return number if is_id else None


def lease_name(token: Any) -> str:
    """The beginning of a lease's token, to distinguish leases. The whole token is a secret."""
    return str(token)[:8]

"""Move jobs: fill, record what is known, and at the cut-over close the old job and start the new.

Each step may be repeated: items are compared by key, results are recorded where an item is open.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from joblot.errors import Unavailable, WrongStatus
from joblot.importing import evidence
from joblot.importing.account import JobAccount
from joblot.importing.compare import record
from joblot.importing.mapping import BlobMapping, OldJob
from joblot.importing.target import DryTarget, Target
from joblot.ledger.job.lifecycle import start
from joblot.ledger.rows.job import job_with_key, read_job
from joblot.ledger.submit.items import checked_item
from joblot.ledger.submit.submit import seal, submit
from joblot.models import Job
from joblot.states import FILLABLE, JobStatus

logger = logging.getLogger("joblot.importing")

ACTOR = "import-blob"


def import_blob(
    mapping: BlobMapping,
    *,
    jobs: Collection[str] = (),
    cut_over: bool = False,
    dry_run: bool = False,
) -> Iterator[JobAccount]:
    """Move the jobs of a mapping, or those with these ids; yields an account of each.

    Without `cut_over`, a new job is filled and records the results that are stored so far; no
    worker gets its items, while the old system goes on. With it, the old job is closed, what it
    has stored meanwhile is recorded, and the new job starts. Repeat either at any time. With
    `dry_run` nothing is written, and the accounts say what would be. A job that can't be moved
    does not stop the others; its account has the `error`. Raises Unavailable when the database
    can't be used.
    """
    for old in mapping.jobs():
        if not jobs or old.id in jobs:
            yield _moved(mapping, old, cut_over=cut_over, dry_run=dry_run)


def _moved(mapping: BlobMapping, old: OldJob, *, cut_over: bool, dry_run: bool) -> JobAccount:
    account = JobAccount(old.id, old.name)
    known = job_with_key(old.project, _key(mapping, old))
    try:
        if dry_run:
            _preview(mapping, old, account, known)
            if cut_over and (known is None or known.status == JobStatus.CREATED):
                account.done = "started"
        else:
            _move(mapping, old, account, cut_over=cut_over)
            account.added = account.items - (known.total if known is not None else 0)
    except Unavailable:
        raise
    except Exception as error:
        logger.warning("old job %s was not moved", old.id, exc_info=error)
        account.done, account.error = "failed", f"{type(error).__name__}: {error}"
    return account


def _move(mapping: BlobMapping, old: OldJob, account: JobAccount, *, cut_over: bool) -> None:
    job = _fill(mapping, old, account)
    if cut_over and job.status == JobStatus.CREATED:
        if not mapping.close(old):
            raise WrongStatus("the mapping did not close it; it may have ended meanwhile")
        first = [stage.recorded for stage in account.stages]
        job = _fill(mapping, old, account)  # what was stored until it was closed
        for stage, recorded in zip(account.stages, first, strict=True):
            stage.recorded += recorded
            stage.already -= recorded
        seal(job.pk, actor=ACTOR)
        start(job.pk, actor=ACTOR)
        mapping.moved(old, job.pk)
        account.done = "started"
    elif job.status != JobStatus.CREATED:
        mapping.moved(old, job.pk)  # this process may have ended before it could say so
        account.done = _state(job)


def _fill(mapping: BlobMapping, old: OldJob, account: JobAccount) -> Job:
    """Add what is missing, and record what is known. The job is neither sealed nor started."""
    keys: dict[str, None] = {}

    def noted() -> Iterator[Mapping[str, Any] | str]:
        for item in mapping.items(old):
            keys[checked_item(item).key] = None
            yield item

    job = submit(
        old.name,
        noted(),
        stages=mapping.stages,
        project=old.project,
        config=old.config,
        policy=old.policy,
        start=False,
        seal=False,
        idempotency_key=_key(mapping, old),
        actor=ACTOR,
    )
    found = evidence.read(mapping, old, set(keys))
    account.job_id, account.items, account.stages = job.pk, job.total, list(found.accounts)
    record(found, Target(job.pk, is_over=job.status not in FILLABLE))
    return read_job(job.pk)


def _preview(mapping: BlobMapping, old: OldJob, account: JobAccount, known: Job | None) -> None:
    """The same without writing."""
    keys = dict.fromkeys(checked_item(item).key for item in mapping.items(old))
    found = evidence.read(mapping, old, set(keys))
    is_over = known is not None and known.status not in FILLABLE
    target = DryTarget(known.pk if known else None, keys, is_over=is_over)
    record(found, target)
    account.job_id = known.pk if known else None
    account.items, account.added, account.stages = len(keys), target.added, list(found.accounts)
    if known is not None and known.status != JobStatus.CREATED:
        account.done = _state(known)


def _state(job: Job) -> str:
    return "running" if job.status in FILLABLE else "ended"


def _key(mapping: BlobMapping, old: OldJob) -> str:
    return f"{mapping.source}:{old.id}"

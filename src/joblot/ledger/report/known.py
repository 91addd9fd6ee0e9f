"""Settle items whose results another system has recorded, without a lease and without hooks.

It counts like a success through an expired lease: the first outcome of an item wins. A worker that
holds the item meanwhile gets the receipts for an item that is settled already. The ranges are
marked as perhaps containing settled items, so that a claim leaves these out.

Locks, in order: the job's row, ranges, items by number, slots by stage. A claim never waits for the
job's row, so none waits for this.
"""

from __future__ import annotations

from collections.abc import Sequence

from joblot.errors import WrongStatus
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import execute_many, fetch
from joblot.ledger.db.transactions import alias, connection, durable, repeated
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report.pending_result import PendingResult, rows_of
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import advance, lock_job, stages_of
from joblot.ledger.rows.ranges import RELEASED, Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas
from joblot.models import ItemRange, Job
from joblot.states import FILLABLE
from joblot.words import any_of, quoted


def settle_known(job_id: int, stage: int, known: Sequence[PendingResult]) -> set[int]:
    """Record these results of different items in `stage`; returns the items that were open.

    Raises WrongStatus unless the job is running or is yet to be started.
    """
    moved = _settle(job_id, stage, known)
    if moved:
        reconcile(job_id)
    return moved


@repeated
def _settle(job_id: int, stage: int, known: Sequence[PendingResult]) -> set[int]:
    with durable():
        job = lock_job(job_id)
        if job.status not in FILLABLE or job.reopening is not None:
            raise WrongStatus(
                f"job {job_id} is {quoted(job.status)} and takes no known results; expected "
                f"{any_of(FILLABLE)}"
            )
        stages = len(stages_of(job_id))
        ranges = ItemRange.ledger.using(alias()).filter(job_id=job_id, stage=stage, returns=0)
        ranges.update(returns=RELEASED)
        moved = _insert(job, stage, known)
        _follow_up(job, stage, stages, [one for one in known if one.number in moved])
        if moved:
            advance(job_id, job.version)
    return moved


def _insert(job: Job, stage: int, known: Sequence[PendingResult]) -> set[int]:
    """The outcomes of those that have none."""
    name, own = "report/settle_if_open", {"job": job.pk, "stage": stage, "run": job.run}
    if dialect_of(connection()).writes_in_with:
        rows = fetch(connection(), name, rows=rows_of(known), token=None, **own)
        return {number for (number,) in rows}
    settled = settled_among(job.pk, stage, [one.number for one in known])
    new = [one for one in known if one.number not in settled]
    if new:
        execute_many(connection(), name, own | {"token": None}, [one.columns() for one in new])
    return {one.number for one in new}


def _follow_up(job: Job, stage: int, stages: int, moved: Sequence[PendingResult]) -> None:
    """Queue the next stage, and last of all count."""
    passed = [one.number for one in moved if one.succeeded]
    if passed and stage + 1 < stages:
        spans = [Span(first, last, returns=RELEASED) for first, last in islands(passed)]
        enqueue(job.pk, stage + 1, spans)
    deltas = Deltas(stages)
    for one in moved:
        deltas.settle(stage, one.state)
        if one.succeeded:
            deltas.measure(stage, one.result.metrics)
    deltas.write(job.pk)

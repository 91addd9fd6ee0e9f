"""Reopen: put items that did not succeed back into the queue, chunk by chunk, for the next run.

Until this is done the job is CREATED, so nothing is claimed, and all its leases are closed, so
nothing is settled. Each chunk subtracts the items it reopens from the tallies and moves the cursor
on the job's row in the same transaction. However often it is resumed, even concurrently, each chunk
is done once.
"""

from __future__ import annotations

from collections.abc import Iterable

from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.author import Author
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import advance, lock_job, record_event, require_transition, stages_of
from joblot.ledger.rows.ranges import Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas, settled
from joblot.models import Attempt, ItemRange, Job, Outcome
from joblot.states import ItemState, JobStatus, JobTransition


def reopen(job_id: int, run: int) -> None:
    """Reopen for `run` every item that did not succeed. If repeated, continues where it stopped."""
    while _reopen_chunk(job_id, run):
        pass


@repeated
def _reopen_chunk(job_id: int, run: int) -> bool:
    """Reopen one chunk of one stage; False if it was the last. Locks the job's row, then slots."""
    with durable():
        job = lock_job(job_id)
        if job.reopening is None or (job.status, job.run) != (JobStatus.CREATED, run):
            return False
        stage, first = job.reopening["stage"], job.reopening["number"]
        stages_total = len(stages_of(job_id))
        if (stage, first) == (0, 0):
            ItemRange.ledger.using(alias()).filter(job_id=job_id).delete()
        last = min(first + limits().reopen_chunk_items, job.total)
        deltas = Deltas(stages_total)
        _reopen_items(job, stage, range(first, last), deltas)
        stage, first = (stage, last) if last < job.total else (stage + 1, 0)
        more = bool(stage < stages_total)
        if more:
            cursor = job.reopening | {"stage": stage, "number": first}
            advance(job_id, job.version, reopening=cursor)
        else:
            _end(job, deltas)
        deltas.write(job_id)
    return more


def _end(job: Job, deltas: Deltas) -> None:
    """Everything is reopened once `deltas` are written: start the run if the retry asked for it."""
    assert job.reopening is not None
    if not job.reopening["start"]:
        advance(job.pk, job.version, reopening=None)
        return
    status = require_transition(job, JobTransition.START)
    advance(job.pk, job.version, reopening=None, status=status.value)
    begun = {"settled": settled(job.pk) + deltas.settled}
    record_event(job.pk, job.run, 0, "started", begun, by=Author(**job.reopening["by"]))


def _reopen_items(job: Job, stage: int, numbers: Iterable[int], deltas: Deltas) -> None:
    """Reopen in this stage the items that passed the previous stage and did not succeed here."""
    asked = list(numbers)
    outcomes = (
        Outcome.ledger.using(alias())
        .filter(job_id=job.pk, stage=stage, number__in=asked)
        .exclude(state=ItemState.SUCCEEDED)
    )
    given_up = list(outcomes.defer("output"))
    _remember(given_up)
    for outcome in given_up:
        deltas.reopen(stage, ItemState(outcome.state))
    outcomes.delete()
    succeeded = settled_among(job.pk, stage, asked)
    arrived = set(asked) if stage == 0 else settled_among(job.pk, stage - 1, asked)
    enqueue(job.pk, stage, [Span(*island) for island in islands(arrived - succeeded)])


def _remember(outcomes: Iterable[Outcome]) -> None:
    """Keep the reason why the earlier run gave an item up, because its outcome is deleted."""
    Attempt.ledger.using(alias()).bulk_create(
        Attempt(
            job_id=outcome.job_id,
            run=outcome.run,
            stage=outcome.stage,
            number=outcome.number,
            cause=ItemState(outcome.state).name.lower(),
            error_type=outcome.error_type or "",
            error_message=outcome.error_message or "",
            at=outcome.settled_at,
        )
        for outcome in outcomes
    )

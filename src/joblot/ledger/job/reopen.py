"""Reopen: put items that did not succeed back into the queue, chunk by chunk, for the next run.

All of them, or only a selection of those that failed; the job's row says which. Until this is done
the job is CREATED, so nothing is claimed, and all its leases are closed, so nothing is settled.
Each chunk subtracts the items it reopens from the tallies and moves the cursor on the job's row in
the same transaction. However often it is resumed, even concurrently, each chunk is done once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from joblot.config import limits
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.job.selection import Selection
from joblot.ledger.rows.author import Author
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import (
    advance,
    lock_job,
    policy_of,
    record_event,
    require_transition,
    stages_of,
)
from joblot.ledger.rows.ranges import Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas, settled, succeeded, tried
from joblot.models import Attempt, ItemRange, Job, Outcome
from joblot.states import ItemState, JobStatus, JobTransition


def to_reopen(job: Job, selection: Selection | None) -> int:
    """How many items a retry of this ended job reopens: what did not succeed, or a selection."""
    if selection is None:
        return int(job.total) - succeeded(job.pk, len(stages_of(job.pk)) - 1)
    return selection.count(job.pk)


def reopen(job_id: int, run: int) -> None:
    """Reopen for `run` what the retry has asked for. If repeated, continues where it stopped."""
    while _reopen_chunk(job_id, run):
        pass


@repeated
def _reopen_chunk(job_id: int, run: int) -> bool:
    """Reopen one chunk; False if it was the last. Locks the job's row, then slots."""
    with durable():
        job = lock_job(job_id)
        if job.reopening is None or (job.status, job.run) != (JobStatus.CREATED, run):
            return False
        if (job.reopening["stage"], job.reopening["number"]) == (0, 0):
            ItemRange.ledger.using(alias()).filter(job_id=job_id).delete()
        deltas = Deltas(len(stages_of(job_id)))
        following = _reopen_next(job, job.reopening, deltas)
        if following is None:
            _end(job, deltas)
        else:
            advance(job_id, job.version, reopening=job.reopening | following)
        deltas.write(job_id)
    return following is not None


def _reopen_next(job: Job, cursor: dict[str, Any], deltas: Deltas) -> dict[str, int] | None:
    """Reopen the items at the cursor; returns where the next ones are, None at the end."""
    first, most = cursor["number"], limits().reopen_chunk_items
    if (selection := Selection.stored(cursor)) is not None:
        return _reopen_selected(job, selection, first, most, deltas)
    stage, last = cursor["stage"], min(first + most, job.total)
    _reopen_items(job, stage, range(first, last), deltas)
    if last < job.total:
        return {"stage": stage, "number": last}
    return {"stage": stage + 1, "number": 0} if stage + 1 < deltas.stages_total else None


def _end(job: Job, deltas: Deltas) -> None:
    """Everything is reopened once `deltas` are written: start the run if the retry asked for it."""
    assert job.reopening is not None
    if not job.reopening["start"]:
        advance(job.pk, job.version, reopening=None)
        return
    status = require_transition(job, JobTransition.START)
    advance(job.pk, job.version, reopening=None, status=status.value)
    begun: dict[str, Any] = {"settled": settled(job.pk) + deltas.settled}
    if policy_of(job).halts:  # what failed in an earlier run does not count for a halt
        begun["tried"] = tried_then(job.pk, deltas)
    record_event(job.pk, job.run, 0, "started", begun, by=Author(**job.reopening["by"]))


def tried_then(job_id: int, deltas: Deltas) -> list[tuple[int, int]]:
    """What was tried in each stage, once `deltas` are written."""
    now = tried(job_id, deltas.stages_total)
    changes = [deltas.tried(stage) for stage in range(deltas.stages_total)]
    return [(a + da, b + db) for (a, b), (da, db) in zip(now, changes, strict=True)]


def _reopen_items(job: Job, stage: int, numbers: Iterable[int], deltas: Deltas) -> None:
    """Reopen in this stage the items that passed the previous stage and did not succeed here."""
    asked = list(numbers)
    _withdraw(job.pk, stage, asked, deltas)
    passed = settled_among(job.pk, stage, asked)
    arrived = set(asked) if stage == 0 else settled_among(job.pk, stage - 1, asked)
    enqueue(job.pk, stage, [Span(*island) for island in islands(arrived - passed)])


def _reopen_selected(
    job: Job, selection: Selection, first: int, most: int, deltas: Deltas
) -> dict[str, int] | None:
    """Reopen what the selection has from the number `first` on, in all stages.

    The job had ended, so all others are settled, and stay so.
    """
    found, following = selection.failed(job.pk, first - 1, most)
    by_stage: dict[int, list[int]] = defaultdict(list)
    for item in found:
        by_stage[item.stage].append(item.number)
    for stage, numbers in sorted(by_stage.items()):
        _withdraw(job.pk, stage, numbers, deltas)
        enqueue(job.pk, stage, [Span(*island) for island in islands(numbers)])
    return None if following is None else {"stage": 0, "number": following + 1}


def _withdraw(job_id: int, stage: int, numbers: list[int], deltas: Deltas) -> None:
    """Delete the outcomes of those of these items that did not succeed in the stage."""
    outcomes = (
        Outcome.ledger.using(alias())
        .filter(job_id=job_id, stage=stage, number__in=numbers)
        .exclude(state=ItemState.SUCCEEDED)
    )
    given_up = list(outcomes.defer("output"))
    remember(given_up)
    for outcome in given_up:
        deltas.reopen(stage, ItemState(outcome.state))
    outcomes.delete()


def remember(outcomes: Iterable[Outcome]) -> None:
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
            error_cause=outcome.error_cause or "",
            error_traceback=outcome.error_traceback or "",
            at=outcome.settled_at,
        )
        for outcome in outcomes
    )

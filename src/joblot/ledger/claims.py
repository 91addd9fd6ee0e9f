"""Claim: take waiting items, get a lease.

A claim never locks the job's row. It locks a range, then reads the job's status in a new
statement, and rolls back if the job is not claimable: so a cancel that has changed the status and
then waits for the ranges has waited for every claim that could still be granted.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput, KeyConflict
from joblot.ledger import queue
from joblot.ledger.candidates import Candidate, candidates
from joblot.ledger.item_rows import items_by_number, outputs_by_number, settled_among
from joblot.ledger.jobs import advance, policy_of, record_event
from joblot.ledger.names import checked_name
from joblot.ledger.queue import Piece
from joblot.ledger.ranges import ALONE, Span, islands
from joblot.ledger.statements import fetch, moment
from joblot.ledger.transactions import alias, connection, durable, repeated
from joblot.models import Job, Lease, Stage
from joblot.states import JobEvent, JobStatus, LeaseState, sources
from joblot.wire import Claim, ClaimedItem
from joblot.wire import Lease as GrantedLease


def claim(
    pipelines: str | Iterable[str],
    limit: int = 16,
    *,
    job: int | None = None,
    worker: str = "",
    idempotency_key: str | None = None,
) -> Claim:
    """Claim up to `limit` items of one job and stage served by `pipelines`.

    Returns a Claim with one lease, or with none, a reason, and when to ask again. With an
    `idempotency_key`, asking again gives the same lease, as long as it is live. Raises
    InvalidInput for a limit outside 1 to `claim_items_max` or a name that can't be kept,
    KeyConflict if the lease of this key has ended.
    """
    wanted = [pipelines] if isinstance(pipelines, str) else list(pipelines)
    if not 1 <= limit <= limits().claim_items_max:
        raise InvalidInput(f"limit: expected 1 to {limits().claim_items_max}, got {limit}")
    worker = worker and checked_name(worker, "worker")
    if idempotency_key is not None:
        checked_name(idempotency_key, "idempotency_key")
        if known := _lease_by_key(idempotency_key):
            return _granted(known)
    return _claim_from_any(wanted, limit, job, worker, idempotency_key)


def _claim_from_any(
    pipelines: Collection[str], limit: int, job: int | None, worker: str, key: str | None
) -> Claim:
    for candidate in candidates(pipelines, job):
        try:
            lease = _claim_from(candidate, limit, worker, key)
        except IntegrityError:
            # The same key was used at the same time, and the other claim was granted.
            if key and (known := _lease_by_key(key)):
                return _granted(known)
            raise
        if lease is not None:
            return _granted(lease)
    return Claim((), "nothing ready", limits().sweep_seconds)


@dataclass(frozen=True, slots=True)
class _Taken:
    """Pieces cut from the queue, and what of them is still open."""

    pieces: list[Piece]
    spans: list[Span]


def _claim_from(candidate: Candidate, limit: int, worker: str, key: str | None) -> Lease | None:
    """A lease on items of this job's stage; None if it has none ready, or is not claimable."""
    while True:
        lease, retry = _claim_once(candidate, limit, worker, key)
        if not retry:
            return lease


@repeated
def _claim_once(
    candidate: Candidate, limit: int, worker: str, key: str | None
) -> tuple[Lease | None, bool]:
    """One try. The second answer is True when all that was found was settled already."""
    with durable() as conn:
        taken = _take(candidate, limit)
        if taken is None:
            return None, False
        if not taken.spans:
            queue.cut(taken.pieces)
            return None, True
        lease = _grant(candidate, taken.spans, worker, key)
        if lease is None:
            transaction.set_rollback(True, using=conn.alias)
            return None, False
        queue.cut(taken.pieces)
    return lease, False


def _take(candidate: Candidate, limit: int) -> _Taken | None:
    """Lock ranges for up to `limit` items, beginning behind the one this process took last."""
    job_id, stage = candidate.job_id, candidate.stage
    first = queue.lock_free(job_id, stage)
    if first is None:
        return None
    pieces = [first.piece(1 if first.returns >= ALONE else limit)]
    left = limit - len(pieces[0])
    if left and first.returns < ALONE:
        for more in queue.lock_small(job_id, stage, first.id, left):
            if left:
                pieces.append(more.piece(left))
                left -= len(pieces[-1])
    return _Taken(pieces, _still_open(job_id, stage, pieces))


def _still_open(job_id: int, stage: int, pieces: list[Piece]) -> list[Span]:
    """The pieces as spans, without items that were settled since they came back to the queue."""
    numbers = [n for piece in pieces if piece.came_back for n in piece.span.numbers]
    settled = settled_among(job_id, stage, numbers) if numbers else set()
    if not settled:
        return [piece.span for piece in pieces]
    return [
        piece.span.part(first, last)
        for piece in pieces
        for first, last in islands(n for n in piece.span.numbers if n not in settled)
    ]


def _grant(candidate: Candidate, spans: list[Span], worker: str, key: str | None) -> Lease | None:
    """Write the lease if the job is claimable now; read in a new statement, after the ranges."""
    token, size = uuid4(), sum(len(span) for span in spans)
    ranges = [span.as_list() for span in spans]
    rows = fetch(
        connection(),
        "grant_if_claimable",
        token=token,
        job=candidate.job_id,
        stage=candidate.stage,
        size=size,
        ranges=json.dumps(ranges),
        worker=worker,
        idempotency_key=key,
        lease_seconds=candidate.lease_seconds,
    )
    if not rows:
        return None
    run, expires_at = rows[0]
    return Lease(
        token=token,
        job_id=candidate.job_id,
        run=run,
        stage=candidate.stage,
        size=size,
        ranges=ranges,
        expires_at=moment(expires_at),
    )


def _lease_by_key(key: str) -> Lease | None:
    found: Lease | None = Lease.ledger.using(alias()).filter(idempotency_key=key).first()
    if found is not None and found.state != LeaseState.LIVE:
        raise KeyConflict(
            f"idempotency key {key!r:.100}: its lease has ended; claim again with a new key"
        )
    return found


@repeated
def _granted(lease: Lease) -> Claim:
    """The lease with its items' payloads, and the outputs of the stage before as their input."""
    stages = Stage.ledger.using(alias()).select_related("job")
    stage = stages.get(job_id=lease.job_id, position=lease.stage)
    _start_if_pending(stage.job)
    granted = GrantedLease(
        token=str(lease.pk),
        job=lease.job_id,
        run=lease.run,
        stage=stage.name,
        pipeline=stage.pipeline,
        expires_at=lease.expires_at.isoformat(),
        config=stage.job.config,
        items=_claimed_items(lease),
        lease_seconds=policy_of(stage.job).lease_seconds,
    )
    return Claim((granted,))


def _start_if_pending(job: Job) -> None:
    """PENDING -> STARTED, in a transaction of its own, so that no claim waits for the job's row."""
    if job.status not in sources(JobEvent.CLAIM):
        return
    with durable():
        status = JobStatus.STARTED.value
        if advance(job.pk, job.version, status=status, started_at=clock.now()):
            record_event(job.pk, job.run, 0, "started", {})


def _claimed_items(lease: Lease) -> tuple[ClaimedItem, ...]:
    spans = [Span(*span) for span in lease.ranges]
    tries = {n: span.failures + span.expiries + 1 for span in spans for n in span.numbers}
    inputs = _inputs(lease, list(tries))
    return tuple(
        ClaimedItem(
            id=item.number,
            key=item.key,
            payload=item.payload,
            input=inputs.get(item.number),
            attempt=tries[item.number],
        )
        for item in items_by_number(lease.job_id, tries)
    )


def _inputs(lease: Lease, numbers: list[int]) -> dict[int, Any]:
    return outputs_by_number(lease.job_id, lease.stage - 1, numbers) if lease.stage else {}

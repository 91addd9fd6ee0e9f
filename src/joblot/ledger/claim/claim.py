"""Claim: take waiting items and get a lease on them.

A claim never locks the job's row. It locks a range, then reads the job's status in a new statement,
and rolls back if the job is not claimable. So once a cancel has changed the status and waited for
the ranges, it has waited for every claim that could still be granted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction

from joblot import clock, telemetry
from joblot.config import limits
from joblot.errors import InvalidInput, KeyConflict, Unavailable
from joblot.ledger.claim import availability, candidates, queue
from joblot.ledger.claim.candidates import Candidate, Snapshot, Wanted
from joblot.ledger.claim.grant import Grant, Holder, grant
from joblot.ledger.claim.queue import LockedRange, Piece, StageKey
from joblot.ledger.claim.unreadable import without_unreadable
from joblot.ledger.db.transactions import alias, connection, durable, repeated, require_durable
from joblot.ledger.lease import release
from joblot.ledger.rows import workers
from joblot.ledger.rows.asked import claim_hash, require_same_claim
from joblot.ledger.rows.items import ItemRow, items_by_number, outputs_by_number, settled_among
from joblot.ledger.rows.job import advance, policy_of, record_event
from joblot.ledger.rows.names import checked_name
from joblot.ledger.rows.ranges import ALONE, Span, islands
from joblot.models import Lease, Stage
from joblot.states import JobStatus, JobTransition, LeaseState, sources
from joblot.wire import Claim, ClaimedItem, GrantedLease


@telemetry.verb("claim", spans=False)
def claim(
    pipelines: str | Iterable[str],
    limit: int = 16,
    *,
    job: int | None = None,
    projects: Collection[str] | None = None,
    worker: str = "",
    owner: int | None = None,
    owner_items_max: int | None = None,
    idempotency_key: str | None = None,
) -> Claim:
    """Claim up to `limit` items of one job and stage served by `pipelines`.

    Returns a Claim with one lease; or with none, a reason (a `NoLease`), and when to ask again.
    Projects share claims in proportion to `settings.JOBLOT_PROJECT_WEIGHTS`. Within a project,
    older jobs are served first, and one step of priority counts as `priority_step_seconds` of age.
    `job` and `projects` restrict the claim to these. `owner` is stored with the lease; with
    `owner_items_max`, an owner whose live leases hold that many items gets nothing (concurrent
    claims may exceed the cap). Repeating a claim with its `idempotency_key` returns the same lease
    while it is live.

    Raises InvalidInput for a limit outside 1 to `claim_items_max` or an invalid name; KeyConflict
    if the key was used with other pipelines, or another limit, job or owner, or if its lease has
    ended; WorkerRevoked if the worker was revoked.
    """
    wanted = Wanted.of(pipelines, job, projects)
    if not 1 <= limit <= limits().claim_items_max:
        raise InvalidInput(f"limit: expected 1 to {limits().claim_items_max}, got {limit}")
    asked = None
    if idempotency_key is not None:
        checked_name(idempotency_key, "idempotency_key")
        asked = claim_hash(wanted.pipelines, limit, job, owner)
    worker = worker and checked_name(worker, "worker")
    holder = Holder(worker, owner, owner_items_max, idempotency_key, asked)
    require_durable(connection())
    began = time.time_ns()
    answer = _claim(wanted, limit, holder)
    for one in answer.leases:  # only now it is known whose trace the claim belongs to
        telemetry.ended_span("claim", began, one.traceparent, job=one.job, items=len(one.items))
    of_job = workers.ANY_JOB if job is None else job if answer.leases else None
    workers.asked(owner, worker, wanted.pipelines, of_job, wanted.projects)
    return answer


def _claim(wanted: Wanted, limit: int, holder: Holder) -> Claim:
    room = int(min(limit, availability.room(holder.owner, holder.items_max)))
    if room > 0 and (answer := _Search(wanted, room, holder).answer()):
        return answer
    # The first answer was lost, perhaps: its lease may hold the last items, or fill the cap.
    if answer := _answer_by_key(holder):
        return answer
    return availability.no_lease(wanted) if room > 0 else availability.at_limit()


class _Search:
    """One claim's search of the candidates, until a lease is granted or nothing is ready."""

    def __init__(self, wanted: Wanted, limit: int, holder: Holder) -> None:
        self._wanted = wanted
        self._cache = candidates.cache_for(wanted)
        self._limit = limit
        self._holder = holder
        self._refused: set[StageKey] = set()

    def answer(self) -> Claim | None:
        """If other claims hold every ready range, waits for one: busy does not mean empty."""
        turn = self._cache.take_turn()
        until = time.monotonic() + limits().range_wait_seconds
        known = self._cache.fresh()
        if known is not None and (answer := self._first_free(known, turn)):
            return answer
        while True:
            snapshot = self._cache.read(self._wanted)
            if answer := self._first_free(snapshot, turn):
                return answer
            best = next((one for one in self._left(snapshot, turn) if one.ready), None)
            if best is None or time.monotonic() >= until:
                return None
            if answer := self._try([best], wait=True):
                return answer

    def _left(self, snapshot: Snapshot, turn: float) -> Iterator[Candidate]:
        return (one for one in snapshot.in_order(turn) if one.stage not in self._refused)

    def _first_free(self, snapshot: Snapshot, turn: float) -> Claim | None:
        """Claim from the first stage that has a free range; each statement tries several stages."""
        left, passed_over = self._left(snapshot, turn), 0
        while asked := list(islice(left, limits().claim_stages_batch)):
            if answer := self._try(asked):
                self._cache.passed_over(snapshot, passed_over)
                return answer
            passed_over += len(asked)
        return None

    def _try(self, asked: Sequence[Candidate], *, wait: bool = False) -> Claim | None:
        while asked:
            found = _claim_once(asked, self._limit, self._holder, wait=wait)
            if found is None:
                return None
            if found.grant is not None:
                if answer := _served(found.grant):
                    return answer
                continue
            if found.refused:
                if answer := _refused_to(self._holder):
                    return answer
                self._refused.add(found.candidate.stage)
                asked = [one for one in asked if one != found.candidate]
        return None


def _refused_to(holder: Holder) -> Claim | None:
    """The final answer to a refusal, or None if another job may still be claimed."""
    if answer := _answer_by_key(holder):
        return answer
    return (
        availability.at_limit() if availability.room(holder.owner, holder.items_max) <= 0 else None
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The result for a free range: a lease, a refusal, or neither if all was settled already."""

    candidate: Candidate
    grant: Grant | None = None
    refused: bool = False


@repeated
def _claim_once(
    asked: Sequence[Candidate], limit: int, holder: Holder, *, wait: bool
) -> _Found | None:
    """One transaction; None if none of these candidates has a free range."""
    with durable() as conn:
        candidate, first = _held(asked[0]) if wait else _free(asked)
        if first is None:
            return None
        stage = candidate.stage
        pieces = _pieces(stage, first, min(limit, candidate.items_max or limit))
        spans = _still_open(stage, pieces)
        if not spans:
            queue.cut(pieces)
            return _Found(candidate)
        granted = grant(stage, pieces, spans, holder)
        if granted is None:
            transaction.set_rollback(True, using=conn.alias)
    return _Found(candidate, granted, refused=granted is None)


def _free(asked: Sequence[Candidate]) -> tuple[Candidate, LockedRange | None]:
    place, first = queue.lock_free([one.stage for one in asked]) or (0, None)
    return asked[place], first


def _held(best: Candidate) -> tuple[Candidate, LockedRange | None]:
    return best, queue.lock_held(best.stage)


def _pieces(stage: StageKey, first: LockedRange, limit: int) -> list[Piece]:
    """Up to `limit` items of this range and, if it is small, of further ranges, which it locks."""
    pieces = [first.piece(1 if first.returns >= ALONE else limit)]
    left = limit - len(pieces[0])
    if left and first.returns < ALONE:
        for more in queue.lock_small(stage, first.id, left):
            if left:
                pieces.append(more.piece(left))
                left -= len(pieces[-1])
    return pieces


def _still_open(stage: StageKey, pieces: list[Piece]) -> list[Span]:
    """The pieces as spans, without items that were settled after they returned to the queue."""
    numbers = [n for piece in pieces if piece.came_back for n in piece.span.numbers]
    settled = settled_among(*stage, numbers) if numbers else set()
    if not settled:
        return [piece.span for piece in pieces]
    return [
        piece.span.part(first, last)
        for piece in pieces
        for first, last in islands(n for n in piece.span.numbers if n not in settled)
    ]


def _served(granted: Grant) -> Claim | None:
    """The lease as its worker gets it; None if all of its items were unreadable and have failed."""
    try:
        (lease,) = _answer(granted).leases
    except Unavailable:
        release(granted.token)
        raise
    lease = without_unreadable(lease)
    return Claim((lease,)) if lease.items else None


@repeated
def _answer(granted: Grant) -> Claim:
    if granted.job_status in sources(JobTransition.CLAIM):
        _start(granted)
    lease = GrantedLease(
        token=str(granted.token),
        job=granted.job_id,
        run=granted.run,
        stage=granted.stage_name,
        pipeline=granted.pipeline,
        expires_at=granted.expires_at.isoformat(),
        config=granted.config,
        items=_claimed_items(granted.job_id, granted.stage, granted.spans, granted.items),
        lease_seconds=granted.lease_seconds,
        traceparent=granted.trace or "",
    )
    return Claim((lease,))


def _start(granted: Grant) -> None:
    """PENDING -> STARTED, in its own transaction, so that no claim waits for the job's row."""
    with durable():
        status = JobStatus.STARTED.value
        job_id, version = granted.job_id, granted.job_version
        if advance(job_id, version, status=status, started_at=clock.now()):
            record_event(job_id, granted.run, 0, "claimed", {})


@repeated
def _answer_by_key(holder: Holder) -> Claim | None:
    """The lease that this same claim was granted before. Raises KeyConflict, WorkerRevoked."""
    workers.require_not_revoked(holder.owner, holder.worker)
    key = holder.idempotency_key
    lease = key and Lease.ledger.using(alias()).filter(idempotency_key=key).first()
    if not lease:
        return None
    require_same_claim(lease, holder.asked)
    if lease.state != LeaseState.LIVE:
        raise KeyConflict(
            f"idempotency key {key!r:.100}: its lease has ended; claim again with a new key"
        )
    stages = Stage.ledger.using(alias()).select_related("job")
    stage = stages.get(job_id=lease.job_id, position=lease.stage)
    spans = [Span(*span) for span in lease.ranges]
    items = items_by_number(lease.job_id, (n for span in spans for n in span.numbers))
    again = GrantedLease(
        token=str(lease.pk),
        job=lease.job_id,
        run=lease.run,
        stage=stage.name,
        pipeline=stage.pipeline,
        expires_at=lease.expires_at.isoformat(),
        config=stage.job.config,
        items=_claimed_items(lease.job_id, lease.stage, spans, items),
        lease_seconds=policy_of(stage.job).lease_seconds,
        traceparent=stage.job.trace or "",
    )
    return Claim((without_unreadable(again),))


def _claimed_items(
    job_id: int, stage: int, spans: list[Span], items: list[ItemRow]
) -> tuple[ClaimedItem, ...]:
    """The items, with the outputs of the previous stage as their input."""
    tries = {n: span.failures + span.expiries + 1 for span in spans for n in span.numbers}
    inputs = outputs_by_number(job_id, stage - 1, tries) if stage else {}
    return tuple(
        ClaimedItem(
            id=item.number,
            key=item.key,
            payload=item.payload,
            input=inputs.get(item.number),
            attempt=tries[item.number],
        )
        for item in items
    )

"""Claim: take waiting items and get a lease on them.

A claim never locks the job's row. It locks a range, then reads the job's status in a new statement,
and grants nothing if the job is not claimable. So once a cancel has changed the status and waited
for the ranges, it has waited for every claim that could still be granted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from joblot import clock, telemetry
from joblot.config import limits
from joblot.errors import InvalidInput, KeyConflict, Unavailable
from joblot.ledger.claim import availability
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.grant import Grant, Holder
from joblot.ledger.claim.search import search
from joblot.ledger.claim.unreadable import without_unreadable
from joblot.ledger.db.transactions import alias, connection, durable, repeated, require_durable
from joblot.ledger.lease import release
from joblot.ledger.rows import pipelines_claimed, workers
from joblot.ledger.rows.asked import claim_hash, require_same_claim
from joblot.ledger.rows.items import ItemRow, items_by_number, outputs_by_number
from joblot.ledger.rows.job import advance, policy_of, record_event
from joblot.ledger.rows.names import checked_name
from joblot.ledger.rows.ranges import Span
from joblot.models import Lease, Stage
from joblot.states import JobStatus, JobTransition, LeaseState, sources
from joblot.wire import Claim, ClaimedItem, GrantedLease, NextClaim


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
    names = (pipelines,) if isinstance(pipelines, str) else tuple(pipelines)
    return claim_as(
        NextClaim(
            names,
            limit,
            job=job,
            projects=projects,
            worker=worker,
            owner=owner,
            owner_items_max=owner_items_max,
            idempotency_key=idempotency_key,
        )
    )


@telemetry.verb("claim", spans=False)
def claim_as(given: NextClaim, *, shared: bool = False) -> Claim:
    """As `claim`, with its arguments in one; `shared` is for servers with many threads."""
    return claimed(Asked.of(given), shared=shared)


@dataclass(frozen=True, slots=True)
class Asked:
    """A claim whose arguments have been checked."""

    wanted: Wanted
    limit: int
    holder: Holder

    @classmethod
    def of(cls, given: NextClaim) -> Self:
        """Raises InvalidInput for a limit outside 1 to `claim_items_max` or an invalid name."""
        wanted = Wanted.of(given.pipelines, given.job, given.projects)
        most = limits().claim_items_max
        if not 1 <= given.limit <= most:
            raise InvalidInput(f"limit: expected 1 to {most}, got {given.limit}")
        key, asked = given.idempotency_key, None
        if key is not None:
            checked_name(key, "idempotency_key")
            asked = claim_hash(wanted.pipelines, given.limit, given.job, given.owner)
        worker = given.worker and checked_name(given.worker, "worker")
        holder = Holder(worker, given.owner, given.owner_items_max, key, asked)
        return cls(wanted, given.limit, holder)


def claimed(asked: Asked, granted: Grant | None = None, *, shared: bool = False) -> Claim:
    """The answer to the claim; `granted` is a lease that was written for it already, if one was.

    With `shared`, claims that meet in this process share their statements.

    Raises as `claim`.
    """
    wanted, holder = asked.wanted, asked.holder
    require_durable(connection())
    began = time.time_ns()
    answer = granted and _served(granted)
    answer = answer or _claim(wanted, asked.limit, holder, shared=shared)
    for one in answer.leases:  # only now it is known whose trace the claim belongs to
        telemetry.ended_span("claim", began, one.traceparent, job=one.job, items=len(one.items))
    of_job = workers.ANY_JOB if wanted.job is None else wanted.job if answer.leases else None
    workers.asked(holder.owner, holder.worker, wanted.pipelines, of_job, wanted.projects)
    return answer


def _claim(wanted: Wanted, limit: int, holder: Holder, *, shared: bool) -> Claim:
    for taken in search(wanted, limit, holder, shared=shared):
        if taken.grant is not None and (answer := _served(taken.grant)):
            return answer
        if taken.refused and (answer := _refused_to(holder)):
            return answer
    # The first answer was lost, perhaps: its lease may hold the last items, or fill the cap.
    if holder.idempotency_key and (answer := _answer_by_key(holder)):
        return answer
    if _has_room(holder):
        return availability.no_lease(wanted, holder.owner, holder.worker)
    workers.require_not_revoked(holder.owner, holder.worker)
    return availability.at_limit()


def _refused_to(holder: Holder) -> Claim | None:
    """The final answer to a refusal, or None if another job may still be claimed."""
    return _answer_by_key(holder) or (None if _has_room(holder) else availability.at_limit())


def _has_room(holder: Holder) -> bool:
    return availability.room(holder.owner, holder.items_max) > 0


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
    pipelines_claimed.note(granted.token, granted.pipeline)
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
        items=_claimed_items(
            granted.job_id, granted.stage, granted.spans, granted.items, granted.inputs
        ),
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
    job_id: int,
    stage: int,
    spans: list[Span],
    items: list[ItemRow],
    inputs: Mapping[int, Any] | None = None,
) -> tuple[ClaimedItem, ...]:
    """The items, with the outputs of the previous stage as their input, read if not given."""
    tries = {n: span.failures + span.expiries + 1 for span in spans for n in span.numbers}
    if inputs is None:
        inputs = outputs_by_number(job_id, stage - 1, tries) if stage else {}
    return tuple(
        ClaimedItem(
            id=item.number,
            key=item.key,
            payload=item.payload,
            input=inputs.get(item.number),
            attempt=tries[item.number],
            null_payload=item.null_payload,
        )
        for item in items
    )

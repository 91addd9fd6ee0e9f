"""Leases once they are granted: renew, release, expire.

The lease row is the mutex between a report and all of these. No transaction waits for a second
lease while it holds one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from joblot import clock, telemetry
from joblot.config import limits
from joblot.errors import InvalidInput, LeaseEnded
from joblot.fingerprint import cause_of
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, durable, repeated, require_durable
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.rows import workers
from joblot.ledger.rows.expiries import Expired, log_expiries
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import policy_of, read_job, stages_of
from joblot.ledger.rows.lease import find, key_of, state_of
from joblot.ledger.rows.ranges import ALONE, RELEASED, Span, enqueue, islands
from joblot.ledger.rows.sweep_failures import Step, failed, put_off
from joblot.ledger.rows.tallies import Deltas
from joblot.models import LIVE, Attempt, Job, Lease, Outcome
from joblot.shown import shown
from joblot.states import ItemState, LeaseState
from joblot.wire import CallProgress

EXPIRED = "LeaseExpired"  # the type of the error of an expired lease


@telemetry.verb("renew")
@repeated
def renew(
    token: str | UUID, seconds: float | None = None, *, progress: CallProgress | None = None
) -> str:
    """Hold the lease for another `seconds` (the job's `lease_seconds`); returns the new deadline.

    The deadline is ISO 8601, on the database's clock. `progress` says how far the worker is with
    what it works on; readers show the last one that was given. If a report through the same lease
    is in progress, waits for it and then succeeds. Raises InvalidInput unless `seconds` is above 0
    and at most `lease_seconds_max`; LeaseEnded if the lease has expired or its run is over;
    WorkerRevoked if its worker was revoked; NotFound if there is no such lease.
    """
    if seconds is not None:
        _check_seconds(seconds)
    pk, conn = key_of(token), connection()
    require_durable(conn)
    for (expires_at,) in fetch(
        conn, "rows/renew", token=pk, seconds=seconds, progress=progress and progress.as_text()
    ):
        return moment(expires_at).isoformat()
    lease = find(pk)
    workers.require_not_revoked(lease.owner, lease.worker)
    state = state_of(lease, read_job(lease.job_id, deleted=True))
    raise LeaseEnded(
        f"lease {pk} has {state.name.lower()}: stop working on its open items; results that are "
        "done may still be reported"
    )


@repeated
def renew_many(tokens: Collection[UUID], seconds: float) -> int:
    """Renew those of these leases that are live for another `seconds`; returns how many.

    A lease with a later deadline keeps it. A lease that is currently locked, by a report for
    example, is skipped: waiting for it would block while other leases are held. Raises InvalidInput
    for `seconds` as `renew` does.
    """
    _check_seconds(seconds)
    conn = connection()
    require_durable(conn)
    return len(fetch(conn, "rows/renew_many", tokens=list(tokens), seconds=seconds))


def _check_seconds(seconds: Any) -> None:
    longest = limits().lease_seconds_max
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= longest:
        raise InvalidInput(
            f"seconds: expected a number above 0, at most {longest:g}, got {shown(seconds)}"
        )


@telemetry.verb("release")
def release(token: str | UUID) -> int:
    """Requeue the items that are still open, at no cost to their budgets; returns how many.

    A success that is reported later still counts. Releasing an ended lease does nothing.
    """
    return _released(token)


def release_if_held_by(token: str | UUID, worker: str) -> int:
    """The same, but not of a lease that is another worker's by now."""
    return _released(token, worker)


@repeated
def _released(token: str | UUID, worker: str | None = None) -> int:
    with durable():
        lease = find(token, locked=True)
        if lease.state != LeaseState.LIVE or worker not in {None, lease.worker}:
            return 0
        spans = [
            Span(first, last, span.failures, span.expiries, span.returns or RELEASED)
            for span, open_numbers in _open_spans(lease)
            for first, last in islands(open_numbers)
        ]
        enqueue(lease.job_id, lease.stage, spans)
        _end(lease)
    return sum(len(span) for span in spans)


def expire(token: str | UUID, cause: str = "the worker is gone") -> bool:
    """Expire a lease before its deadline because its worker is known to be dead.

    Costs its items as much as a missed deadline. False if the lease was no longer live.
    """
    pk = find(token).pk
    expired = _expire_one(Q(pk=pk), cause, skip_locked=False)
    if expired is not None:
        log_expiries([expired], cause)
    return expired is not None


def expire_overdue() -> int:
    """Expire every lease whose deadline has passed, one per transaction; returns how many.

    If this fails for a job, its leases are put off and the other jobs proceed.
    """
    expired: list[Expired] = []
    try:
        while one := _expire_next():
            if isinstance(one, Expired):
                expired.append(one)
    finally:
        log_expiries(expired, _NOT_RENEWED)
    return len(expired)


def _expire_next() -> Expired | bool:
    """Expire the lease that is overdue longest; True if that failed for its job, False if none is.

    Raises any error that is not one job's.
    """
    tried = _Tried()
    try:
        which = _overdue() & ~Q(put_off(Step.EXPIRE, "job_id"))
        return _expire_one(which, _NOT_RENEWED, skip_locked=True, tried=tried) or False
    except Exception as error:
        if tried.job_id is None:
            raise
        failed(Step.EXPIRE, tried.job_id, error)
        return True


def expire_overdue_of(job_id: int) -> None:
    """The same for one job, which may have been put off. Raises any error."""
    which = _overdue() & Q(job_id=job_id)
    while expired := _expire_one(which, _NOT_RENEWED, skip_locked=True):
        log_expiries([expired], _NOT_RENEWED)


_NOT_RENEWED = "the lease was not renewed in time"


def _overdue() -> Q:
    return Q(expires_at__lt=clock.now())


@dataclass(slots=True)
class _Tried:
    """The job whose lease is being expired, for the handler of an error."""

    job_id: int | None = None


def _expire_one(
    which: Q, cause: str, *, skip_locked: bool, tried: _Tried | None = None
) -> Expired | None:
    """Expire a live lease; None if there was none to expire."""
    expired = _expire_in_transaction(which, cause, skip_locked, tried or _Tried())
    if expired is not None:
        reconcile(expired.job_id)
    return expired


@repeated
def _expire_in_transaction(
    which: Q, cause: str, skip_locked: bool, tried: _Tried
) -> Expired | None:
    """Locks the lease, then items by number, then slots by stage, in the order of a report."""
    with durable():
        live = Lease.ledger.using(alias()).filter(which, LIVE)
        locked = live.select_for_update(skip_locked=skip_locked)
        lease: Lease | None = locked.order_by("expires_at").first()
        if lease is None:
            return None
        tried.job_id = lease.job_id
        job = read_job(lease.job_id, deleted=True)
        expired = Expired(job.pk, lease.worker, str(lease.pk))
        _return_items(job, lease, cause, expired)
        _end(lease)
    telemetry.count("leases_expired", 1)
    return expired


def _return_items(job: Job, lease: Lease, cause: str, expired: Expired) -> None:
    """Return open items: first as one span, then one by one; finally the item is lost."""
    policy = policy_of(job)
    for span, open_numbers in _open_spans(lease):
        if not open_numbers:
            continue
        if span.returns <= 0:
            together = (span.part(first, last) for first, last in islands(open_numbers))
            back = [Span(s.first, s.last, s.failures, s.expiries, 1) for s in together]
        elif lease.size > 1:
            back = [Span(n, n, span.failures, span.expiries, ALONE) for n in open_numbers]
        elif span.expiries + 1 < policy.expiries_max:
            number = open_numbers[0]
            back = [Span(number, number, span.failures, span.expiries + 1, ALONE)]
        else:
            back = []
            if _lose(job, lease, open_numbers[0], policy.expiries_max, cause):
                expired.lost.append(open_numbers[0])
        expired.returned += sum(map(len, back))
        _note_expiry(lease, open_numbers, cause)
        enqueue(job.pk, lease.stage, back)


def _open_spans(lease: Lease) -> list[tuple[Span, list[int]]]:
    """The open items of the lease, by span.

    Read after the lease was locked, so every report through it is visible. An item that is being
    settled through another lease at this moment may be included; the next claim drops it.
    """
    spans = [Span(*span) for span in lease.ranges]
    settled = settled_among(lease.job_id, lease.stage, (n for span in spans for n in span.numbers))
    ended = settled | set(lease.gone)
    return [(span, [n for n in span.numbers if n not in ended]) for span in spans]


def _end(lease: Lease) -> None:
    Lease.ledger.using(alias()).filter(pk=lease.pk).update(state=LeaseState.EXPIRED, open=0)


def _lose(job: Job, lease: Lease, number: int, expiries: int, cause: str) -> bool:
    """Settle an item as lost; False if another lease has already settled it."""
    message = f"{expiries} leases of this item alone expired; the last: {cause}"
    row = Outcome(
        job_id=job.pk,
        stage=lease.stage,
        number=number,
        run=lease.run,
        state=ItemState.LOST,
        error_type=EXPIRED,
        error_message=message,
        error_cause=cause_of(EXPIRED, message),
        lease_token=lease.pk,
        settled_at=clock.now(),
    )
    Outcome.ledger.using(alias()).bulk_create([row], ignore_conflicts=True)
    mine = Outcome.ledger.using(alias()).filter(
        job_id=job.pk, stage=lease.stage, number=number, lease_token=lease.pk
    )
    if mine.exists():
        deltas = Deltas(len(stages_of(job.pk)))
        deltas.settle(lease.stage, ItemState.LOST)
        deltas.write(job.pk)
        transaction.on_commit(lambda: telemetry.count("items_lost", 1), using=alias())
        return True
    return False


def _note_expiry(lease: Lease, numbers: list[int], cause: str) -> None:
    """Record the cause for an item that was leased alone and so caused the expiry."""
    if lease.size > 1:
        return
    Attempt.ledger.using(alias()).create(
        job_id=lease.job_id,
        run=lease.run,
        stage=lease.stage,
        number=numbers[0],
        cause="expired",
        error_type=EXPIRED,
        error_message=cause,
        error_cause=cause_of(EXPIRED, cause),
        worker=lease.worker,
        leased_at=lease.claimed_at,
        at=clock.now(),
    )

"""What a report writes: a statement for all of one kind, however many results there are.

Each statement says which items it has moved; what it left alone was overtaken, and is judged again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from joblot import clock
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import execute, execute_many, fetch
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.report.held import Held
from joblot.ledger.report.judge import Decision
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows.deferrals import Deferred
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import policy_of
from joblot.ledger.rows.ranges import Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas
from joblot.models import Attempt
from joblot.states import LeaseState, Receipt
from joblot.wire import ItemReceipt


@dataclass(frozen=True, slots=True)
class Settled:
    """What was committed of the results of a lease: receipts by item, and a job that may be due.

    `lacking`: the results that are to be kept, and were left alone because their files are missing.
    `unused`: files that were stored for these results, to which no row refers. `deferred`: the
    results of `stage` that a hook refused.
    """

    receipts: Mapping[int, ItemReceipt]
    job_id: int | None = None
    lacking: Sequence[PendingResult] = ()
    unused: Collection[str] = ()
    stage: int = 0
    deferred: Sequence[Deferred] = ()


def counted(numbers: Iterable[int], job_id: int | None) -> Settled:
    """The receipts of items that were settled; `job_id` if the job may be due."""
    return Settled({number: ItemReceipt(number, Receipt.COUNTED) for number in numbers}, job_id)


def settle_if_open(held: Held, batch: Sequence[Decision]) -> set[int]:
    """Record the outcomes of items that have none."""
    return _written("report/settle_if_open", held, batch)


def amend_if_given_up(held: Held, batch: Sequence[Decision]) -> set[int]:
    """Turn failed and lost items into successes, if they are still what they were judged to be."""
    return _written("report/amend_if_given_up", held, batch)


def keep_uncounted(held: Held, batch: Sequence[Decision]) -> set[int]:
    """Keep successes that are late or conflicting, unless they are kept already."""
    return _written("report/keep_uncounted", held, batch)


def _written(name: str, held: Held, batch: Sequence[Decision]) -> set[int]:
    """The numbers of those that the statement has written.

    On SQLite that is all of them: the transaction holds the only write lock, so what was judged
    still is so.
    """
    if not batch:
        return set()
    own = {"job": held.job_id, "stage": held.stage, "run": held.lease.run, "token": held.lease.pk}
    if dialect_of(connection()).writes_in_with:
        rows = f"[{','.join(_row(decision) for decision in batch)}]"
        return {number for (number,) in fetch(connection(), name, rows=rows, **own)}
    execute_many(connection(), name, own, [d.pending.columns() | _judged(d) for d in batch])
    return {decision.number for decision in batch}


def _row(decision: Decision) -> str:
    judged = _judged(decision)
    return f'{decision.pending.row()[:-1]},"receipt":"{judged["receipt"]}","was":{judged["was"]}}}'


def _judged(decision: Decision) -> dict[str, str | int]:
    was = decision.outcome.state.value if decision.outcome else 0
    return {"receipt": decision.receipt.value, "was": was}


def requeue(held: Held, batch: Sequence[Decision]) -> None:
    """Queue items for their next attempt, and keep the causes."""
    if not batch:
        return
    policy = policy_of(held.job)
    again = [_failed_again(held, decision) for decision in sorted(batch, key=_failed)]
    enqueue(held.job_id, held.stage, again, lambda span: policy.backoff_seconds(span.failures))
    Attempt.ledger.using(alias()).bulk_create(
        Attempt(
            job_id=held.job_id,
            run=held.lease.run,
            stage=held.stage,
            number=decision.number,
            cause="failed",
            error_type=decision.pending.error.type,
            error_message=decision.pending.error.message,
            error_cause=decision.pending.error.cause,
            error_traceback=decision.pending.error.traceback,
            worker=held.lease.worker,
            leased_at=held.lease.claimed_at,
            at=clock.now(),
        )
        for decision in batch
    )


def _failed_again(held: Held, decision: Decision) -> Span:
    number = decision.number
    known = next(span for span in held.spans if number in span)
    return replace(known.part(number, number), failures=_failed(decision))


def _failed(decision: Decision) -> int:
    """How often the item has failed, this time included."""
    return decision.failures + 1


def follow_up(held: Held, decisions: Sequence[Decision]) -> None:
    """Queue the next stage, credit the lease, and last of all count."""
    passed = [d.number for d in decisions if d.settles and d.pending.succeeded]
    if passed and not held.last_stage:
        enqueue(held.job_id, held.stage + 1, [Span(*ends) for ends in islands(passed)])
    _credit(held, decisions)
    deltas_of(decisions, held.stage, held.stages_total).write(held.job_id)


def _credit(held: Held, decisions: Iterable[Decision]) -> None:
    """Say what the lease still holds: recounted, for what it settled before may be amended."""
    settled = {d.number for d in decisions if d.settles}
    given_up = {d.number for d in decisions if _gives_up(d, held.lease.pk)}
    if not held.is_live or not (settled or given_up):
        return
    gone = given_up.union(held.lease.gone)
    kept = {n for span in held.spans for n in span.numbers} - gone
    left = kept - settled
    left = left and left - settled_among(held.job_id, held.stage, left)
    execute(
        connection(),
        "report/credit_lease",
        token=held.lease.pk,
        open=len(left),
        gone=json.dumps(sorted(gone)),
        state=(LeaseState.LIVE if left else LeaseState.SPENT).value,
    )


def _gives_up(decision: Decision, token: UUID) -> bool:
    """Whether the lease no longer holds the item: it went back, or another lease has settled it."""
    if decision.receipt is Receipt.REQUEUED:
        return True
    outcome = decision.outcome
    return outcome is not None and outcome.lease_token != token and not decision.settles


def deltas_of(decisions: Iterable[Decision], stage: int, stages_total: int) -> Deltas:
    """What the decisions move in the counts of the job."""
    deltas = Deltas(stages_total)
    for decision in decisions:
        one = decision.pending
        if decision.settles:
            if decision.receipt is Receipt.AMENDED and decision.outcome:
                deltas.reopen(stage, decision.outcome.state)
            deltas.settle(stage, one.state)
            if one.succeeded:
                deltas.measure(stage, one.result.metrics)
        elif decision.receipt is Receipt.LATE and decision.keep:
            deltas.late(stage)
    return deltas

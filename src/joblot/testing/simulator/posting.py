"""Finds out from the ledger which transactions of an unanswered report were committed.

Each transaction is atomic. So one visible effect is enough to apply the whole transaction to the
model; the comparison that follows would find a partial one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from joblot.config import limits
from joblot.ledger.db.transactions import alias, connection
from joblot.models import Outcome as OutcomeRow
from joblot.models import Uncounted
from joblot.states import ItemState, Receipt, ReportedOutcome
from joblot.testing.simulator import model
from joblot.testing.simulator.model_lease import ModelLease
from joblot.testing.simulator.model_receipts import BUSY, REFUSED, Given, judge
from joblot.testing.simulator.world import World


def apply_as_seen(world: World, job_id: int, token: str, given: Sequence[Given]) -> None:
    """Apply to the model the part of the report that the ledger has committed."""
    job = world.jobs[job_id]
    lease = job.leases[token]
    for one_round in _rounds(given):
        for part in _transactions(world, job, lease, one_round):
            if not _is_committed(world, job_id, token, part):
                world.notice_reconciled(job_id)
                return
            for one in part:
                job.settle(lease, one, world.now)
    world.notice_reconciled(job_id)


def _rounds(given: Sequence[Given]) -> Iterator[list[Given]]:
    """Split into rounds with each item once, as the ledger treats repeats within a report."""
    left = list(given)
    while left:
        taken: dict[int, Given] = {}
        rest = []
        for one in left:
            if one[0] in taken:
                rest.append(one)
            else:
                taken[one[0]] = one
        yield list(taken.values())
        left = rest


def _transactions(
    world: World, job: model.Job, lease: ModelLease, one_round: list[Given]
) -> Iterator[list[Given]]:
    """On PostgreSQL, plainly counted results are settled first, unless a hook refuses one of them.

    Successes with a stored output are settled last, since their files are written in between.
    """
    refused = any(_is_refused(job, lease, one) for one in one_round)
    at_once = connection().vendor == "postgresql" and not refused
    simple = [one for one in one_round if at_once and _is_simple(job, lease, one)]
    stored = [one for one in one_round if _is_stored(one)]
    rest = [one for one in one_round if one not in simple and one not in stored]
    yield simple
    yield rest
    yield stored


def _is_stored(one: Given) -> bool:
    return (
        one[1] is ReportedOutcome.SUCCEEDED
        and len(one[2]) + len('""') > limits().output_bytes_inline_max
    )


def _is_simple(job: model.Job, lease: ModelLease, one: Given) -> bool:
    _, outcome, _, retryable = one
    usual = outcome is ReportedOutcome.SUCCEEDED or not retryable
    return usual and not _is_stored(one) and judge(job, lease, one)[0] is Receipt.COUNTED


def _is_refused(job: model.Job, lease: ModelLease, one: Given) -> bool:
    """Whether the hook of its stage is called for this result, and fails."""
    number, outcome, output, retryable = one
    if lease.stage not in job.hooked or output not in (REFUSED, BUSY):
        return False
    return _is_simple(job, lease, (number, outcome, "accepted", retryable))


def _is_committed(world: World, job_id: int, token: str, part: Sequence[Given]) -> bool:
    """True if an effect is visible, or no effect could be."""
    job = world.jobs[job_id]
    for one in part:
        seen = _effect(world, job_id, job.leases[token], token, one)
        if seen is not None:
            return seen
    return True


def _effect(world: World, job_id: int, lease: ModelLease, token: str, one: Given) -> bool | None:
    """Whether this result's effect is visible; None if it would have none."""
    receipt, good = judge(world.jobs[job_id], lease, one)
    number = one[0]
    place = {"job_id": job_id, "stage": lease.stage, "number": number}
    if receipt in (Receipt.COUNTED, Receipt.AMENDED):
        mine = OutcomeRow.ledger.using(alias()).filter(**place, lease_token=token)
        state = ItemState.SUCCEEDED if good else ItemState.FAILED
        return bool(mine.filter(state=state).exists())
    if receipt is Receipt.REQUEUED:
        return number in world.lease_row(token).gone
    if (
        receipt is Receipt.LATE
        and good
        and (lease.run, lease.stage, number) not in _late(world, job_id)
    ):
        kept = Uncounted.ledger.using(alias()).filter(**place, run=lease.run, receipt="late")
        return bool(kept.exists())
    return None


def _late(world: World, job_id: int) -> set[tuple[int, int, int]]:
    return world.jobs[job_id].late

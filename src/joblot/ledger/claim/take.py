"""Take: a worker takes over a lease that was granted to a dispatcher, which has published it.

The ledger gives it to the first worker that takes it, however often and to how many workers a
broker delivers it. A lease whose job is no longer claimable, or whose run is over, is not taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef

from joblot import clock, telemetry
from joblot.errors import AtLimit, InvalidInput, LeaseEnded
from joblot.ledger.claim import availability
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.lease import release_if_held_by, renew
from joblot.ledger.rows import workers
from joblot.ledger.rows.job import policy_of, read_job
from joblot.ledger.rows.lease import find
from joblot.models import LIVE, LIVE_BY_TIME, Job, Lease, Stage
from joblot.states import CLAIMABLE, LeaseState


@dataclass(frozen=True, slots=True)
class Offered:
    """What a lease is for: its job, and the pipeline of its stage."""

    job_id: int
    pipeline: str


@repeated
def offered(token: str | UUID) -> Offered:
    """What the lease is for. Raises NotFound."""
    lease = find(token)
    stages = Stage.ledger.using(alias()).filter(job_id=lease.job_id, position=lease.stage)
    return Offered(lease.job_id, stages.get().pipeline)


@telemetry.verb("take")
@repeated
def take(
    token: str | UUID,
    dispatcher: str,
    *,
    worker: str,
    owner: int | None = None,
    owner_items_max: int | None = None,
) -> str:
    """Make the lease that was granted to `dispatcher` the worker's; returns its new deadline.

    Then the lease counts as the worker's: for caps, for a revocation, and for what it holds.
    Repeating the call renews the lease. An owner whose live leases hold `owner_items_max` items
    takes nothing (one lease may exceed the cap, and so may concurrent calls).

    Raises AtLimit for such an owner, and the lease can be taken by others; LeaseEnded if another
    worker has taken it, if all its items are settled, if it has ended, or if its job is not
    claimable now; WorkerRevoked; NotFound; InvalidInput for no `worker`.
    """
    if not worker:
        raise InvalidInput("Joblot-Worker: expected the name of the worker that takes the lease")
    workers.require_not_revoked(owner, worker)
    with durable():
        lease = find(token, locked=True)
        # Read after the lease is locked: what closes it waits for the lock, or is seen.
        job = read_job(lease.job_id, deleted=True)
        if _is_offered(lease, job, dispatcher):
            if availability.room(owner, owner_items_max) <= 0:
                raise AtLimit(f"expected fewer than {owner_items_max} items in flight; try later")
            until = clock.after(policy_of(job).lease_seconds)
            mine = Lease.ledger.using(alias()).filter(pk=lease.pk)
            mine.update(worker=worker, owner=owner, expires_at=until)
            return find(token).expires_at.isoformat()
    if (lease.worker, lease.owner) == (worker, owner) and lease.open:
        return renew(token)
    raise LeaseEnded(
        f"lease {lease.pk} was taken by another worker, is done, or has ended; take the next one"
    )


def withdraw(token: str | UUID, dispatcher: str) -> int:
    """Release a lease that no worker has taken, at no cost to its items; returns their number."""
    return release_if_held_by(token, dispatcher)


@repeated
def all_offered(dispatcher: str, pipeline: str | None = None) -> list[UUID]:
    """The tokens of the leases that the dispatcher was granted and no worker has taken.

    This includes those of an earlier process with its name, and of claims whose answer was lost.
    With `pipeline`, only the leases of that pipeline.
    """
    held = Lease.ledger.using(alias()).filter(LIVE_BY_TIME, worker=dispatcher, owner=None)
    if pipeline is not None:
        stages = Stage.ledger.using(alias()).filter(pipeline=pipeline)
        mine = stages.filter(job_id=OuterRef("job_id"), position=OuterRef("stage"))
        held = held.filter(Exists(mine))
    return list(held.values_list("pk", flat=True))


@repeated
def still_offered(tokens: Collection[UUID], dispatcher: str) -> dict[UUID, bool]:
    """Those of its leases that no worker has taken and that have not ended.

    Each with whether a worker may take it; if not, the dispatcher should withdraw it.
    """
    held = Lease.ledger.using(alias()).filter(LIVE, pk__in=tokens, worker=dispatcher)
    found = held.select_related("job")
    return {lease.pk: _is_offered(lease, lease.job, dispatcher) for lease in found}


def _is_offered(lease: Lease, job: Job, dispatcher: str) -> bool:
    granted = lease.state == LeaseState.LIVE and lease.worker == dispatcher
    serves = job.status in CLAIMABLE and job.deleted_at is None and job.run == lease.run
    return granted and serves

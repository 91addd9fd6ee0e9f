"""Revoking a worker: nothing of it counts any more, and its items go back to the queue.

The mark is set first, and read by every claim, renewal and report. Then its live leases are
released. A claim or a report that began before the mark may still end as if it came first: such a
lease is released by the sweep, and through it nothing more is reported.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db.models import Q

from joblot import clock, faults
from joblot.errors import NotFound
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.lease import release
from joblot.ledger.rows import workers
from joblot.ledger.rows.author import NOBODY, Author, author_of
from joblot.models import LIVE_BY_TIME, NO_OWNER, Lease, WorkerInstance

logger = logging.getLogger("joblot.ledger")

LEASES_BATCH = 1_000  # released in one round of the sweep


def revoke_worker(owner: int, instance: str, *, actor: str = "", reason: str = "") -> int:
    """Refuse this worker's claims, renewals and reports; returns how many items it has given back.

    They go back to the queue at no cost to their budgets. Results that it has reported before stay.
    `owner` is that of its token; 0 for the local token and for workers in a process that calls
    joblot directly. The list of workers shows the actor and the reason. Raises NotFound if no such
    worker was ever seen.
    """
    by = author_of(actor, reason)
    _mark(owner, instance, clock.now(), by)
    faults.point("revocation: marked, not released")
    logger.info("worker %s was revoked%s", instance, _by(by))
    return sum(release(token) for token in _leases(_of(owner, instance)))


def restore_worker(owner: int, instance: str, *, actor: str = "", reason: str = "") -> None:
    """Undo `revoke_worker`: the worker may claim and report again. Raises NotFound."""
    by = author_of(actor, reason)
    _mark(owner, instance, None, NOBODY)
    logger.info("worker %s was restored%s", instance, _by(by))


def release_revoked() -> int:
    """Release leases that were granted to a worker while it was being revoked."""
    if not workers.any_revoked():
        return 0
    return sum(release(token) for token in _leases(Q(revoked_at__isnull=False)))


@repeated
def _mark(owner: int, instance: str, at: Any, by: Author) -> None:
    with durable():
        rows = WorkerInstance.ledger.using(alias()).filter(owner=owner, instance=instance)
        if not rows.update(revoked_at=at, revoked_by=by.actor, revoked_reason=by.reason):
            raise NotFound(
                f"worker {instance!r:.200} of owner {owner} was never seen; `joblot workers` lists "
                "those that were"
            )


def _of(owner: int, instance: str) -> Q:
    mine = Q(owner=owner) | Q(owner__isnull=True) if owner == NO_OWNER else Q(owner=owner)
    return mine & Q(worker=instance)


@repeated
def _leases(which: Q) -> list[Any]:
    live = Lease.ledger.using(alias()).annotate(revoked_at=workers.revoked_at())
    live = live.filter(LIVE_BY_TIME).filter(which)
    return list(live.order_by("expires_at").values_list("pk", flat=True)[:LEASES_BATCH])


def _by(one: Author) -> str:
    return (f" by {one.actor}" if one.actor else "") + (f": {one.reason}" if one.reason else "")

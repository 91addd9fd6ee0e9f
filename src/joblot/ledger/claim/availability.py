"""What a claim would find now: the next job, or why there is none. Read-only."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from joblot.config import limits
from joblot.ledger.claim import candidates
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.rows import workers
from joblot.models import NO_OWNER, Stage
from joblot.states import NoLease
from joblot.wire import Claim

DUE_SECONDS_MIN = 0.001  # of what became due since it was read


@dataclass(frozen=True, slots=True)
class NextJob:
    """The job and stage that a claim would be served from."""

    id: int
    name: str
    project: str
    stage: str
    pipeline: str


@dataclass(frozen=True, slots=True)
class Next:
    """The next job, or why there is none and when to ask again."""

    job: NextJob | None
    reason: str = ""
    retry_after_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@repeated
@one_snapshot()
def next_job(
    pipelines: str | Iterable[str],
    *,
    job: int | None = None,
    projects: Collection[str] | None = None,
    owner: int | None = None,
    owner_items_max: int | None = None,
) -> Next:
    """The job that the next claim of this process would be served from, in the same order.

    A momentary answer: it reserves nothing. If there is no such job, it gives the reason, as a
    claim does. Raises InvalidInput for an invalid pipeline name.
    """
    wanted = Wanted.of(pipelines, job, projects)
    if room(owner, owner_items_max) <= 0:
        return _nothing(at_limit())
    cache = candidates.cache_for(wanted)
    snapshot = cache.read(wanted)
    best = next((one for one in snapshot.in_order(cache.coming_turn()) if one.ready), None)
    if best is None:
        return _nothing(no_lease(wanted))
    job_id, position = best.stage
    stages = Stage.ledger.using(alias()).select_related("job")
    stage = stages.get(job_id=job_id, position=position)
    return Next(NextJob(job_id, stage.job.name, stage.job.project, stage.name, stage.pipeline))


def _nothing(empty: Claim) -> Next:
    return Next(None, empty.reason, empty.retry_after_seconds)


@repeated
def no_lease(wanted: Wanted, owner: int | None = None, worker: str = "") -> Claim:
    """A Claim without leases, with its reason. Momentary; decided by one statement.

    Raises WorkerRevoked.
    """
    rows = fetch(
        connection(),
        "claim/why_no_lease",
        **wanted.as_params(),
        rows=limits().claim_reason_rows_max,
        owner=owner or NO_OWNER,
        worker=worker,
    )
    is_known, is_paused, is_open, at_limit, seconds, revoked_at = rows[0]
    if revoked_at is not None:
        raise workers.refusal(worker, moment(revoked_at))
    if at_limit:
        reason = NoLease.AT_LIMIT
    elif is_open:
        reason = NoLease.ALL_LEASED
    elif is_paused:
        reason = NoLease.PAUSED
    else:
        reason = NoLease.NONE_QUEUED if is_known else NoLease.UNKNOWN_PIPELINE
    return Claim((), reason, _bounded(seconds))


@repeated
def room(owner: int | None, items_max: int | None) -> float:
    """How many more items `owner` may have in flight; infinite without `items_max`."""
    if items_max is None:
        return math.inf
    ((held,),) = fetch(connection(), "claim/items_in_flight", owner=owner)
    return items_max - int(held)


def at_limit() -> Claim:
    """The answer to a caller at its limit."""
    return Claim((), NoLease.AT_LIMIT, limits().claim_retry_seconds_max)


def _bounded(seconds: float | None) -> float:
    longest = limits().claim_retry_seconds_max
    if seconds is None:
        return longest
    return max(limits().claim_retry_seconds_min, min(float(seconds), longest))


@repeated
def ready_for(asked: Collection[Wanted]) -> dict[Wanted, float]:
    """In how many seconds a claimable job has a range that is due, 0 if it has now: a hint for long
    polling. Those without any range are left out; of the later ones, a bounded number is read.
    """
    found = {wanted: _ready_seconds(wanted) for wanted in asked}
    return {wanted: seconds for wanted, seconds in found.items() if seconds is not None}


def _ready_seconds(wanted: Wanted) -> float | None:
    known = limits()
    ((ready, seconds),) = fetch(
        connection(),
        "claim/is_ready",
        **wanted.as_params(),
        rows=known.claim_reason_rows_max,
        cap_seconds=known.cap_poll_seconds,
    )
    if ready:
        return 0.0
    return None if seconds is None else max(float(seconds), DUE_SECONDS_MIN)

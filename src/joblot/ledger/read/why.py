"""Why a job is not finished: what each of its open items waits for."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, Sum

from joblot import clock
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.progress import progress
from joblot.ledger.read.undelivered import stuck_events, undelivered
from joblot.ledger.rows.job import policy_of, read_job
from joblot.ledger.rows.ranges import RELEASED
from joblot.ledger.rows.sweep_failures import failing
from joblot.models import LIVE, ItemRange, Job, Lease
from joblot.shown import counted
from joblot.states import ACCEPTING, TERMINAL, JobStatus

Reason = dict[str, Any]

ROWS_SHOWN_MAX = 10
_ITEMS = F("last") - F("next") + 1  # of a range


@repeated
@one_snapshot()
def why(job_id: int) -> dict[str, list[Reason]]:
    """Reasons as `{"code", "text", "count"}`; `count` is a number of items, 0 for the whole job.

    Momentary and for people; no decision depends on it. Raises NotFound.
    """
    job = read_job(job_id)
    state = progress(job_id)
    reasons = [*_of_job(job, state), *_of_sweep(job), *_of_items(job, state), *_of_events(job)]
    return {"reasons": reasons}


def _reason(code: str, text: str, count: int = 0) -> Reason:
    return {"code": code, "text": text, "count": count}


def _of_job(job: Job, state: dict[str, Any]) -> list[Reason]:
    status = JobStatus(job.status)
    reasons = []
    if status in TERMINAL:
        reasons.append(_reason("ended", f"run {job.run} ended as {status}"))
    elif state["finishing"]:
        reasons.append(_reason("finishing", "everything is settled; the next sweep finishes it"))
    if status is JobStatus.CREATED and job.reopening is not None:
        reasons.append(_reason("reopening", "a retry is reopening what did not succeed"))
    elif status is JobStatus.CREATED:
        reasons.append(_reason("not_started", "the job has not been started yet"))
    if status is JobStatus.PAUSED:
        reasons.append(_reason("paused", "the job is paused; resume it to continue"))
    if status is JobStatus.CANCELING:
        reasons.append(_reason("canceling", "the job is being canceled; leases may still report"))
    if status not in TERMINAL and not job.sealed:
        reasons.append(
            _reason(
                "open",
                "the job still takes items: continue its submission if it was interrupted (`joblot "
                "run --resume`, or submit again with the same key), else seal it",
            )
        )
    return reasons


def _of_sweep(job: Job) -> list[Reason]:
    """Steps of the sweep that are due for the job and fail."""
    steps = failing(ROWS_SHOWN_MAX, job_id=job.pk)
    events = stuck_events(ROWS_SHOWN_MAX, job_id=job.pk)
    return [_reason("sweep_fails", str(one)) for one in (*steps, *events)]


def _of_items(job: Job, state: dict[str, Any]) -> list[Reason]:
    if job.status not in ACCEPTING:
        return []
    reasons = []
    if leased := sum(stage["in_flight"] for stage in state["stages"]):
        workers = _live_leases(job).values("worker").distinct().count()
        text = f"being worked on by {counted(workers, 'worker')}"
        reasons.append(_reason("in_flight", text, leased))
    if delayed := _waiting(job, not_before__gt=clock.now()):
        reasons.append(_reason("backing_off", "failed and wait for their next try", delayed))
    if ready := _waiting(job, not_before__lte=clock.now()):
        cap = policy_of(job).in_flight_items_max
        if cap is not None and leased >= cap:
            text = f"ready, but no more than {cap} may be in flight (in_flight_items_max)"
            reasons.append(_reason("at_limit", text, ready))
        else:
            reasons += _ready(job)
    if blamed := _waiting(job, returns__gte=2):
        text = "of these came back more than once, and will be leased one at a time"
        reasons.append(_reason("suspect", text, blamed))
    return reasons


_READY = {
    "ready and not claimed yet": Q(returns=0, failures=0),
    "failed before, and are ready for their next try": Q(returns=0, failures__gt=0),
    "given back by their worker, and not claimed again yet": Q(returns=RELEASED),
    "came back from expired leases, and not claimed again yet": Q(returns__gt=0),
}


def _ready(job: Job) -> list[Reason]:
    """Items that may be claimed now, by what happened to them earlier in this run."""
    rows = ItemRange.ledger.using(alias()).filter(job_id=job.pk, not_before__lte=clock.now())
    sums = {f"group{n}": Sum(_ITEMS, filter=which) for n, which in enumerate(_READY.values())}
    found = rows.aggregate(**sums)
    by_text = zip(_READY, found.values(), strict=True)
    return [_reason("ready", text, items) for text, items in by_text if items]


def _of_events(job: Job) -> list[Reason]:
    """For each handler, its first undelivered event; the job itself waits for none of them."""
    return [_reason("undelivered", str(one)) for one in undelivered(ROWS_SHOWN_MAX, job_id=job.pk)]


def _live_leases(job: Job) -> Any:
    return Lease.ledger.using(alias()).filter(LIVE, job_id=job.pk)


def _waiting(job: Job, **where: Any) -> int:
    rows = ItemRange.ledger.using(alias()).filter(job_id=job.pk, **where)
    return int(rows.aggregate(items=Sum(_ITEMS))["items"] or 0)

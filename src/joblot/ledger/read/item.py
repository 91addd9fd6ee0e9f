"""One item with everything that is known of it: where it stands, its tries, its results."""

from __future__ import annotations

from typing import Any

from joblot import clock
from joblot.errors import NotFound
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read.item_tries import tries_of
from joblot.ledger.read.items import described, seen_of_job
from joblot.ledger.read.partition import cut_off_items, late_items
from joblot.ledger.rows.due import JobSnapshot
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, ItemRange, Lease, Uncounted
from joblot.states import JobStatus, Receipt

Json = dict[str, Any]

_UNCOUNTED_SHOWN_MAX = 100


@repeated
@one_snapshot()
def item(job_id: int, number: int) -> Json:
    """The item as `items` returns it, and more.

    `stages` has its state in each stage, and in `until` or `worker` what an open one waits for, in
    `since` when that worker has claimed it, in `progress` how far it is with it;
    `tries` are all attempts, oldest first, with `worker`, `leased_at`, `reported_at`, `receipt`,
    its `reason` and `error`; `uncounted` are results that were kept and do not count;
    `previous_failed` and `next_failed` are the numbers of the nearest items that failed or were
    lost. Raises NotFound.
    """
    seen = seen_of_job(job_id)
    if not 0 <= number < seen.total:
        raise NotFound(f"job {job_id} has no item {number}; its items are 0 to {seen.total - 1}")
    (found,) = described(seen, [number])
    found["stages"] = _stages(seen, found)
    found["tries"] = tries_of(seen, found)
    found["uncounted"] = _uncounted(seen, number)
    ((before, behind),) = fetch(connection(), "read/neighbors", job=job_id, number=number)
    found["previous_failed"], found["next_failed"] = before, behind
    ((now,),) = fetch(connection(), "db/clock")
    return found | {"run": seen.run, "as_of": moment(now).isoformat()}


def _stages(seen: JobSnapshot, found: Json) -> list[Json]:
    """The state of the item in each stage; only the first one without an outcome is looked up."""
    settled = {outcome["stage"]: outcome["state"] for outcome in found["outcomes"]}
    given_up = reached = False
    stages: list[Json] = []
    for position, name in enumerate(seen.names):
        state: Json = {"state": settled.get(name)}
        if given_up:
            state = {"state": "skipped"}
        elif reached:
            canceled = seen.status is JobStatus.REVOKED
            state = {"state": "cancelled_before_start" if canceled else "not_reached"}
        elif name not in settled:
            reached, state = True, _open_state(seen, position, found["id"])
        given_up = given_up or state["state"] in ("failed", "lost")
        stages.append({"stage": name, **state})
    return stages


def _open_state(seen: JobSnapshot, stage: int, number: int) -> Json:
    if seen.status is JobStatus.REVOKED:
        return {"state": _canceled_state(seen, stage, number)}
    for lease in Lease.ledger.using(alias()).filter(LIVE, job_id=seen.job_id, stage=stage):
        held = any(number in Span(*span) for span in lease.ranges) and number not in lease.gone
        if held:
            until = lease.expires_at.isoformat()
            state = {"state": "in_flight", "worker": lease.worker, "until": until}
            state["since"] = lease.claimed_at.isoformat()
            return state | _progress(lease, number)
    queued = ItemRange.ledger.using(alias()).filter(
        job_id=seen.job_id, stage=stage, next__lte=number, last__gte=number
    )
    waiting = queued.filter(not_before__gt=clock.now()).first()
    if waiting is not None:
        return {"state": "waiting", "until": waiting.not_before.isoformat()}
    return {"state": "ready"}


def _progress(lease: Lease, number: int) -> Json:
    """What its worker has said of this item, or of all that it works on."""
    told = lease.progress
    if told is None or told["item"] not in (None, number):
        return {}
    return {"progress": {"share": told["share"], "text": told["text"]}}


def _canceled_state(seen: JobSnapshot, stage: int, number: int) -> str:
    if (stage, number) in late_items(seen.job_id, seen.run):
        return "finished_after_cancel"
    if (stage, number) in cut_off_items(seen.job_id, seen.run):
        return "cancelled_in_flight"
    return "cancelled_before_start"


def _uncounted(seen: JobSnapshot, number: int) -> list[Json]:
    rows = Uncounted.ledger.using(alias()).filter(job_id=seen.job_id, number=number)
    rows = rows.order_by("pk")[:_UNCOUNTED_SHOWN_MAX]
    workers = dict(
        Lease.ledger.using(alias())
        .filter(pk__in=[row.lease_token for row in rows])
        .values_list("pk", "worker")
    )
    return [
        {
            "stage": seen.names[row.stage],
            "run": row.run,
            "receipt": row.receipt,
            "reason": _REASONS[row.receipt],
            "worker": workers.get(row.lease_token, ""),
            "output": row.output,
            "output_ref": row.output_ref,
            "at": row.at.isoformat(),
        }
        for row in rows
    ]


_REASONS = {
    Receipt.LATE.value: "it came when nothing counted any more",
    Receipt.CONFLICTING.value: "the item had succeeded with another output, which stays",
}

"""A job's items by stage, divided so that they add up: each item is counted once in each stage.

In a stage, `total` = not reached + ready + waiting + in flight + succeeded + failed + lost +
skipped + canceled before start + in flight at the cancel + finished after the cancel.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from joblot.ledger.db.statements import fetch, json_value
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.read.progress import progress
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.ranges import Span
from joblot.states import JobStatus

# In the order in which bars and tables show them; `total` is their sum.
PARTS = (
    *("succeeded", "failed", "lost", "skipped"),
    *("cancelled_before_start", "cancelled_in_flight", "finished_after_cancel"),
    *("in_flight", "waiting", "ready", "not_reached"),
)


@repeated
@one_snapshot()
def partition(job_id: int) -> dict[str, Any]:
    """The job as `progress` returns it, with the parts of each stage.

    Unlike in `progress`, `ready` leaves out the items that wait for their next try (`waiting`).
    Those that the stage before has not passed yet are `not_reached`. Of the open items of a
    canceled job, an item with a late result has finished after the cancel, else one in a lease that
    the cancel closed was in flight, else it had not started. Raises NotFound.
    """
    return parts_of(progress(job_id))


def parts_of(state: dict[str, Any]) -> dict[str, Any]:
    """The partition of a job whose progress is `state`, read in the same snapshot."""
    job = {**state, "stages": [dict(stage) for stage in state["stages"]]}
    if job["status"] == JobStatus.REVOKED:
        _divide_canceled(job)
    else:
        _divide_open(job)
    return job


def _divide_open(job: dict[str, Any]) -> None:
    waiting = {
        stage: int(items)
        for stage, items in fetch(connection(), "read/waiting_by_stage", job=job["id"])
    }
    for position, stage in enumerate(job["stages"]):
        # An item in a range may have been settled through an expired lease.
        stage["waiting"] = min(waiting.get(position, 0), stage["ready"])
        stage["ready"] -= stage["waiting"]
        _complete(stage)


def _divide_canceled(job: dict[str, Any]) -> None:
    late = Counter(stage for stage, _ in late_items(job["id"], job["run"]))
    cut_off = Counter(stage for stage, _ in cut_off_items(job["id"], job["run"]))
    for position, stage in enumerate(job["stages"]):
        after, in_flight = late[position], cut_off[position]
        stage["finished_after_cancel"], stage["cancelled_in_flight"] = after, in_flight
        stage["cancelled_before_start"] = stage["cancelled"] - after - in_flight
        _complete(stage)


def _complete(stage: dict[str, Any]) -> None:
    """Add the parts that are 0, and what is left: items that have not reached the stage."""
    for part in PARTS:
        stage.setdefault(part, 0)
    stage["not_reached"] = stage["total"] - sum(stage[part] for part in PARTS)


def late_items(job_id: int, run: int) -> list[tuple[int, int]]:
    """(stage, number) of the open items of a canceled run for which a success came too late."""
    return [(stage, n) for stage, n in fetch(connection(), "read/late_items", job=job_id, run=run)]


def cut_off_items(job_id: int, run: int) -> list[tuple[int, int]]:
    """(stage, number) of the items that were in flight at the cancel and have no late result."""
    held: dict[int, set[int]] = {}
    for stage, ranges, gone in fetch(connection(), "read/cut_off", job=job_id, run=run):
        spans = (Span(*span) for span in json_value(ranges))
        numbers = {n for span in spans for n in span.numbers}
        held.setdefault(stage, set()).update(numbers.difference(json_value(gone)))
    late = set(late_items(job_id, run)) if held else set()
    return [
        (stage, number)
        for stage, numbers in sorted(held.items())
        for number in sorted(numbers - settled_among(job_id, stage, numbers))
        if (stage, number) not in late
    ]

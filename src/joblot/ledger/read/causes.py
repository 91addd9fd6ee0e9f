"""The causes of a job's failures: its failed and lost items in groups, with examples.

Failures that differ only in details, such as numbers and paths, have one cause (`fingerprint`). The
groups and their counts come from one index, whose size is the number of failures; what is shown of
each group is read from its first items, so that the cost does not grow with the group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.rows.job import read_job, stages_of
from joblot.shown import shown
from joblot.wire import ITEM_MAX

SAMPLE_CHARS_MAX = 200  # of the message of an example; the cause has one whole message

Cause = dict[str, Any]


@repeated
@one_snapshot()
def causes(job_id: int, *, stage: str | None = None, limit: int = 200) -> dict[str, Any]:
    """`{"as_of", "total", "causes", "other"}`: the failed and lost items by cause, in one snapshot.

    The most frequent causes come first. Each has its id (`cause`), the `type`, `message` and
    `traceback` of its first item, the exact number of its `items`, their `share` of all, when the
    first and the last of them was settled, some `samples`, and the `workers` that reported them,
    most items first. Those are determined from the first `workers_of` items
    (`cause_workers_items_max`); `workers_total` counts them. `total` is the number of failed and
    lost items, in `stage` or in all; `other` of these belong to causes beyond `limit` (at most
    `causes_max`). Raises NotFound, InvalidInput.
    """
    read_job(job_id)
    names = [one.name for one in stages_of(job_id)]
    if stage is not None and stage not in names:
        raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {shown(stage)}")
    asked = {"job": job_id, "stage": None if stage is None else names.index(stage)}
    most = max(1, min(limit, limits().causes_max))
    groups = fetch(connection(), "read/causes", **asked, limit=most)
    total = int(groups[0][-1]) if groups else 0
    found = [_counted(*group) for group in groups]
    _exemplify(found, names, asked)
    _locate(found, asked)
    ((now,),) = fetch(connection(), "db/clock")
    other = total - sum(cause["items"] for cause in found)
    return {"as_of": moment(now).isoformat(), "total": total, "causes": found, "other": other}


def _counted(cause: str, items: int, first_at: Any, last_at: Any, total: int) -> Cause:
    return {
        "cause": cause,
        "items": items,
        "share": round(items / int(total), 4),
        "first_at": moment(first_at).isoformat(),
        "last_at": moment(last_at).isoformat(),
    }


def _exemplify(found: Sequence[Cause], names: Sequence[str], asked: dict[str, Any]) -> None:
    """Add the first items of each cause; the first of all shows its whole error."""
    samples = defaultdict(list)
    for cause, *sample in _of_each("read/causes_samples", found, asked):
        samples[cause].append(sample)
    for group in found:
        mine = samples[group["cause"]]
        _, _, _, kind, message, traceback = mine[0]
        group |= {"type": kind, "message": message, "traceback": traceback or ""}
        group["samples"] = [
            {"item": n, "key": key, "stage": names[at], "message": message[:SAMPLE_CHARS_MAX]}
            for n, key, at, _, message, _ in mine
        ]


def _locate(found: Sequence[Cause], asked: dict[str, Any]) -> None:
    """Add who reported the first items of each cause."""
    workers = defaultdict(list)
    for cause, worker, items in _of_each("read/causes_workers", found, asked):
        workers[cause].append((worker, items))
    for group in found:
        mine = workers[group["cause"]]
        group["workers"] = [worker for worker, _ in mine[: limits().cause_workers_max]]
        group["workers_total"] = len(mine)
        group["workers_of"] = sum(items for _, items in mine)


def _of_each(name: str, found: Sequence[Cause], asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    return fetch(
        connection(),
        name,
        causes=[group["cause"] for group in found],
        samples=limits().cause_samples_max,
        items=limits().cause_workers_items_max,
        number_max=ITEM_MAX,
        **asked,
    )

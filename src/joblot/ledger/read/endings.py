"""How items ended that a caller knows by their numbers: for what follows a job while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.read.items import seen_of_job
from joblot.ledger.rows.items import items_by_number, outcomes_by_number
from joblot.ledger.rows.outputs import output_of
from joblot.states import ItemState


def outputs_among(job_id: int, numbers: Iterable[int]) -> Iterator[tuple[int, str, Any]]:
    """Number, key and output of those of these items that succeeded in the last stage, by number.

    Large outputs are read one by one. Raises NotFound for an unknown job, or if a file is gone.
    """
    for number, key, output, ref in _outputs_among(job_id, list(numbers)):
        yield number, key, output_of(output, ref)


@repeated
@one_snapshot()
def _outputs_among(job_id: int, numbers: list[int]) -> list[tuple[int, str, Any, str | None]]:
    stage = len(seen_of_job(job_id).stages) - 1
    outcomes = outcomes_by_number(job_id, stage, numbers).values()
    good = [one.number for one in outcomes if one.state is ItemState.SUCCEEDED]
    rows = fetch(connection(), "rows/outputs_by_number", job=job_id, stage=stage, numbers=good)
    kept = {number: (json_value(output), ref) for number, output, ref in rows}
    return [(item.number, item.key, *kept[item.number]) for item in items_by_number(job_id, good)]


@repeated
@one_snapshot()
def endings_among(job_id: int, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Those of these items that are settled in the last stage, by number: `{"id", "key", "state",
    "worker", "leased_at", "settled_at", "attempt", "error"}`.

    `worker` and `leased_at` are those of the lease that settled the item or whose expiry lost it.
    `attempt` counts the tries of all runs. Raises NotFound.
    """
    stage = len(seen_of_job(job_id).stages) - 1
    asked = {"job": job_id, "stage": stage, "numbers": list(numbers)}
    return [_ending(_Row(*row)) for row in fetch(connection(), "read/endings_among", **asked)]


class _Row(NamedTuple):
    """A row of endings_among.sql. The last of the `tries` lost a lost item."""

    number: int
    key: str
    state: int
    error_type: str | None
    error_message: str | None
    settled_at: Any
    worker: str | None
    claimed_at: Any
    tries: int


def _ending(row: _Row) -> dict[str, Any]:
    succeeded, lost = (row.state == state for state in (ItemState.SUCCEEDED, ItemState.LOST))
    return {
        "id": row.number,
        "key": row.key,
        "state": ItemState(row.state).name.lower(),
        "worker": row.worker or "",
        "leased_at": None if row.claimed_at is None else moment(row.claimed_at).isoformat(),
        "settled_at": moment(row.settled_at).isoformat(),
        "attempt": row.tries if lost else row.tries + 1,
        "error": None if succeeded else {"type": row.error_type, "message": row.error_message},
    }

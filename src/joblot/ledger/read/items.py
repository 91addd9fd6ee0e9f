"""The items of a job with their states, a page at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.read.standing import Asked, Found, standing
from joblot.ledger.rows.due import JobSnapshot, read_snapshot
from joblot.ledger.rows.items import items_by_key, items_by_number
from joblot.ledger.rows.job import unknown_job
from joblot.ledger.rows.outputs import output_of
from joblot.states import ItemState


class Page(list[dict[str, Any]]):
    """Items as they were at `as_of`; `next` is the `after` of the next page, None on the last."""

    as_of: str = ""
    next: int | None = None


class _Outcome(NamedTuple):
    """A row of outcomes_of_items.sql."""

    number: int
    stage: int
    state: int
    run: int
    output: Any
    output_ref: str | None
    metrics: Any
    error_type: str | None
    error_message: str | None
    error_cause: str | None
    error_traceback: str | None
    settled_at: Any
    amends: int | None


class _Attempt(NamedTuple):
    """A row of attempts_of_items.sql."""

    number: int
    stage: int
    run: int
    cause: str
    error_type: str
    error_message: str
    error_cause: str
    error_traceback: str
    worker: str
    leased_at: Any
    at: Any


@repeated
@one_snapshot()
def items(
    job_id: int,
    *,
    state: str | None = None,
    stage: str | None = None,
    cause: str | None = None,
    keys: Collection[str] | None = None,
    after: int = -1,
    limit: int = 100,
) -> Page:
    """A page of items by number, each with its outcome in every stage that it reached.

    `state` is open, succeeded, failed, lost or skipped, in `stage`. Without a stage, succeeded and
    open refer to the last stage, failed and lost to any, and skipped matches nothing. `cause` is
    that of a failure, as in the answer of `causes`. `keys`, alone, are those of the items, at most
    `page_items_max`; one that the job does not have is left out.

    A page is one snapshot. Pass its `next` as `after` to get the next page. A page may be short or
    even empty without being the last, if few of the items that it examined (`page_probe_items`)
    match. Raises NotFound, InvalidInput.
    """
    seen = seen_of_job(job_id)
    asked = Asked.of(state, stage, seen.names, cause)
    size = max(1, min(limit, limits().page_items_max))
    if keys is not None:
        found = _with_keys(job_id, asked, keys, after, size)
    else:
        found = standing(seen, asked, after, size)
    page = Page(described(seen, found.numbers))
    ((now,),) = fetch(connection(), "db/clock")
    page.as_of, page.next = moment(now).isoformat(), found.next
    return page


def _with_keys(job_id: int, asked: Asked, keys: Collection[str], after: int, limit: int) -> Found:
    """By the index on keys, so that the size of the job does not matter."""
    most = limits().page_items_max
    if isinstance(keys, str) or not 1 <= len(keys) <= most:
        raise InvalidInput(f"keys: expected a list of 1 to {most:,} keys")
    if asked != Asked(None, None):
        raise InvalidInput("keys: expected no filter beside them")
    numbers = [item.number for item in items_by_key(job_id, keys) if item.number > after]
    page = numbers[:limit]
    return Found(page, page[-1] if len(numbers) > limit else None)


def outputs(job_id: int, *, stage: str | None = None) -> Iterator[tuple[str, Any]]:
    """The key and output of every item that succeeded in `stage` (default: the last), by number.

    Streams in bounded memory. Each page of `page_items_max` is one snapshot, not the whole stream.
    Raises NotFound, InvalidInput.
    """
    after: int | None = -1
    while after is not None:
        page, after = _outputs_page(job_id, stage, after)
        yield from ((key, output_of(output, ref)) for key, output, ref in page)


@repeated
@one_snapshot()
def _outputs_page(
    job_id: int, stage: str | None, after: int
) -> tuple[list[tuple[str, Any, str | None]], int | None]:
    seen = seen_of_job(job_id)
    asked = Asked.of(ItemState.SUCCEEDED.name, stage, seen.names)
    found = standing(seen, asked, after, limits().page_items_max)
    position = len(seen.stages) - 1 if asked.position is None else asked.position
    rows = fetch(
        connection(), "rows/outputs_by_number", job=job_id, stage=position, numbers=found.numbers
    )
    kept = {number: (json_value(output), ref) for number, output, ref in rows}
    page = [(item.key, *kept[item.number]) for item in items_by_number(job_id, found.numbers)]
    return page, found.next


def seen_of_job(job_id: int) -> JobSnapshot:
    seen = read_snapshot(job_id)
    if seen is None:
        raise unknown_job(job_id)
    return seen


def described(seen: JobSnapshot, numbers: list[int]) -> Iterator[dict[str, Any]]:
    asked = {"job": seen.job_id, "numbers": numbers}
    outcomes: dict[int, list[_Outcome]] = {}
    for row in fetch(connection(), "read/outcomes_of_items", **asked, stages=len(seen.names)):
        outcomes.setdefault(row[0], []).append(_Outcome(*row))
    tries: dict[int, list[_Attempt]] = {}
    for row in fetch(connection(), "read/attempts_of_items", **asked):
        tries.setdefault(row[0], []).append(_Attempt(*row))
    for item in items_by_number(seen.job_id, numbers):
        mine = outcomes.get(item.number, [])
        yield {
            "id": item.number,
            "key": item.key,
            "payload": item.payload,
            "state": _state(mine, len(seen.names)),
            "outcomes": [_outcome(one, seen.names) for one in mine],
            "attempts": [_attempt(one, seen.names) for one in tries.get(item.number, [])],
        }


def _state(outcomes: Sequence[_Outcome], stages_total: int) -> str:
    """The item's state over all stages: its failure or loss, else succeeded or open."""
    for outcome in outcomes:
        if outcome.state != ItemState.SUCCEEDED:
            return ItemState(outcome.state).name.lower()
    return "succeeded" if len(outcomes) == stages_total else "open"


def _outcome(outcome: _Outcome, names: Sequence[str]) -> dict[str, Any]:
    succeeded = outcome.state == ItemState.SUCCEEDED
    return {
        "stage": names[outcome.stage],
        "state": ItemState(outcome.state).name.lower(),
        "run": outcome.run,
        "output": json_value(outcome.output),
        "output_ref": outcome.output_ref,
        "metrics": json_value(outcome.metrics) or {},
        "error": None if succeeded else _error(outcome),
        "settled_at": moment(outcome.settled_at).isoformat(),
        "amends": None if outcome.amends is None else ItemState(outcome.amends).name.lower(),
    }


def _attempt(attempt: _Attempt, names: Sequence[str]) -> dict[str, Any]:
    return {
        "stage": names[attempt.stage],
        "run": attempt.run,
        "cause": attempt.cause,
        "error": _error(attempt),
        "worker": attempt.worker,
        "leased_at": None if attempt.leased_at is None else moment(attempt.leased_at).isoformat(),
        "at": moment(attempt.at).isoformat(),
    }


def _error(failed: _Outcome | _Attempt) -> dict[str, str | None]:
    return {
        "type": failed.error_type,
        "message": failed.error_message,
        "cause": failed.error_cause,
        "traceback": failed.error_traceback or "",
    }

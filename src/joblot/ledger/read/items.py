"""The items of a job with their states, a page at a time, found at a bounded cost.

Items that failed or were lost have an index. For items that succeeded or are open, which are nearly
all or nearly none of a job, a page examines at most `page_probe_items` items. If fewer of these
match than requested, the page is short and says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.fingerprint import is_cause
from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.rows.due import JobSnapshot, read_snapshot
from joblot.ledger.rows.items import FailedItem, failed_for, items_by_number
from joblot.ledger.rows.job import unknown_job
from joblot.ledger.rows.outputs import output_of
from joblot.shown import shown
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
    after: int = -1,
    limit: int = 100,
) -> Page:
    """A page of items by number, each with its outcome in every stage that it reached.

    `state` is open, succeeded, failed, lost or skipped, in `stage`. Without a stage, succeeded and
    open refer to the last stage, failed and lost to any, and skipped matches nothing. `cause` is
    that of a failure, as in the answer of `causes`. A page is one
    snapshot. Pass its `next` as `after` to get the next page. A page may be short or even empty
    without being the last, if few of the items that it examined (`page_probe_items`) match. Raises
    NotFound, InvalidInput.
    """
    seen = seen_of_job(job_id)
    asked = Asked.of(state, stage, seen.names, cause)
    found = standing(seen, asked, after, max(1, min(limit, limits().page_items_max)))
    page = Page(described(seen, found.numbers))
    ((now,),) = fetch(connection(), "db/clock")
    page.as_of, page.next = moment(now).isoformat(), found.next
    return page


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


_GIVEN_UP = frozenset({ItemState.FAILED, ItemState.LOST, ItemState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Asked:
    """The requested items: in `state` (None: any), in the stage at `position`, of one `cause`."""

    state: ItemState | None
    position: int | None
    cause: str | None = None

    @classmethod
    def of(
        cls, state: str | None, stage: str | None, names: Sequence[str], cause: str | None = None
    ) -> Asked:
        """From the names of a state and a stage, and a cause. Raises InvalidInput.

        Without a stage, succeeded and open refer to the last stage, failed and lost to any.
        """
        if stage is not None and stage not in names:
            raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {shown(stage)}")
        position = None if stage is None else names.index(stage)
        known = None if state is None else _item_state(state)
        if cause is not None and not is_cause(cause):
            raise InvalidInput(f"cause: expected 16 hexadecimal digits, got {shown(cause)}")
        if cause is not None and known not in (None, ItemState.FAILED, ItemState.LOST):
            raise InvalidInput(f"state: with a cause, expected failed or lost, got {shown(state)}")
        return cls(known, position, cause)

    def takes(self, item: FailedItem) -> bool:
        """Whether an item that failed is in this state and stage."""
        return self.state in (None, item.state) and self.position in (None, item.stage)


def _item_state(name: str) -> ItemState:
    try:
        return ItemState[name.upper()]
    except KeyError:
        known = ", ".join(one.name.lower() for one in ItemState)
        raise InvalidInput(f"state: expected one of {known}, got {shown(name)}") from None


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of a page, ascending, and the `after` of the next page; None at the end."""

    numbers: list[int]
    next: int | None


def standing(seen: JobSnapshot, asked: Asked, after: int, limit: int) -> Found:
    """The first `limit` items behind the number `after` that match `asked`."""
    end = seen.total - 1
    if asked.cause is not None:
        return _of_cause(seen, asked, asked.cause, after, limit)
    if asked.state is None:
        last = min(after + limit, end)
        return Found(list(range(after + 1, last + 1)), last if last < end else None)
    upto: int | None
    if asked.state in _GIVEN_UP:
        upto = _given_up_until(seen.job_id, after)
        numbers = _given_up(seen.job_id, asked, after, upto or end, limit)
    elif _is_any(seen, asked):
        upto = after + limits().page_probe_items
        numbers = _others(seen, asked, after, upto, limit)
    else:
        return Found([], None)
    if len(numbers) == limit:
        upto = numbers[-1]
    return Found(numbers, upto if upto is not None and upto < end else None)


def _of_cause(seen: JobSnapshot, asked: Asked, cause: str, after: int, limit: int) -> Found:
    """Items that failed for the cause; with a state or a stage, of `page_probe_items` of them."""
    is_narrowed = asked.state is not None or asked.position is not None
    most = limits().page_probe_items if is_narrowed else limit
    examined = failed_for(seen.job_id, cause, after=after, limit=most)
    numbers = [one.number for one in examined if asked.takes(one)][:limit]
    upto = examined[-1].number if len(examined) == most else None
    if len(numbers) == limit:
        upto = numbers[-1]
    return Found(numbers, upto if upto is not None and upto < seen.total - 1 else None)


def _given_up_until(job_id: int, after: int) -> int | None:
    """The last number that a page examines; None if it can examine all that failed or were lost."""
    rows = fetch(
        connection(),
        "read/given_up_until",
        job=job_id,
        after=after,
        items=limits().page_probe_items,
    )
    return rows[0][0] if rows else None


def _given_up(job_id: int, asked: Asked, after: int, upto: int, limit: int) -> list[int]:
    """Items that are skipped in a stage failed or were lost in an earlier one."""
    skipped = asked.state is ItemState.SKIPPED
    rows = fetch(
        connection(),
        "read/given_up_items",
        job=job_id,
        after=after,
        upto=upto,
        limit=limit,
        state=None if skipped or asked.state is None else asked.state.value,
        stage=None if skipped else asked.position,
        before=asked.position if skipped else None,
    )
    return [number for (number,) in rows]


def _others(seen: JobSnapshot, asked: Asked, after: int, upto: int, limit: int) -> list[int]:
    succeeded = asked.state is ItemState.SUCCEEDED
    name = "read/succeeded_items" if succeeded else "read/open_items"
    stage = len(seen.stages) - 1 if asked.position is None else asked.position
    rows = fetch(
        connection(), name, job=seen.job_id, stage=stage, after=after, upto=upto, limit=limit
    )
    return [number for (number,) in rows]


def _is_any(seen: JobSnapshot, asked: Asked) -> bool:
    """Whether any item matches, by the tallies, so that a caller does not read many empty pages."""
    counts = seen.stages[-1 if asked.position is None else asked.position]
    return bool(
        counts.succeeded if asked.state is ItemState.SUCCEEDED else counts.settled < seen.total
    )

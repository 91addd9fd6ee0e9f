"""Which items of a job are as requested: a page of their numbers, found at a bounded cost.

Items that failed or were lost have an index. For items that succeeded or are open, which are nearly
all or nearly none of a job, a page examines at most `page_probe_items` items. If fewer of these
match than requested, the page is short and says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.fingerprint import is_cause
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.due import JobSnapshot
from joblot.ledger.rows.items import FailedItem, failed_for
from joblot.shown import shown
from joblot.states import ItemState

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

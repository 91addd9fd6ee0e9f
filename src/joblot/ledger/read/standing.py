"""Which items stand so: a page of their numbers, found at a bounded cost.

What did not succeed has an index of its own. Of what succeeded or is open, which is nearly all or
nearly nothing of a job, a page looks at `page_probe_items` items at most; if fewer than wanted are
among them it is a short page, and says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.due import JobSnapshot
from joblot.shown import shown
from joblot.states import ItemState

_GIVEN_UP = frozenset({ItemState.FAILED, ItemState.LOST, ItemState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Asked:
    """How items are to stand: in `state` (None: any way), in the stage at `position`."""

    state: ItemState | None
    position: int | None

    @classmethod
    def of(cls, state: str | None, stage: str | None, names: Sequence[str]) -> Asked:
        """By their names. Raises InvalidInput.

        Without a stage, succeeded and open are of the last one, failed and lost of any.
        """
        if stage is not None and stage not in names:
            raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {shown(stage)}")
        position = None if stage is None else names.index(stage)
        if state is None:
            return cls(None, position)
        try:
            return cls(ItemState[state.upper()], position)
        except KeyError:
            known = ", ".join(one.name.lower() for one in ItemState)
            raise InvalidInput(f"state: expected one of {known}, got {shown(state)}") from None


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of a page, ascending, and the `after` of the next one; None at the end."""

    numbers: list[int]
    next: int | None


def standing(seen: JobSnapshot, asked: Asked, after: int, limit: int) -> Found:
    """The first `limit` items behind the number `after` that stand as asked."""
    end = seen.total - 1
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


def _given_up_until(job_id: int, after: int) -> int | None:
    """Up to which number a page looks; None if it can look at all that was given up."""
    rows = fetch(
        connection(),
        "read/given_up_until",
        job=job_id,
        after=after,
        items=limits().page_probe_items,
    )
    return rows[0][0] if rows else None


def _given_up(job_id: int, asked: Asked, after: int, upto: int, limit: int) -> list[int]:
    """What is skipped in a stage was given up in an earlier one."""
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
    """By the tallies: a page that finds nothing is not asked for again and again."""
    counts = seen.stages[-1 if asked.position is None else asked.position]
    return bool(
        counts.succeeded if asked.state is ItemState.SUCCEEDED else counts.settled < seen.total
    )

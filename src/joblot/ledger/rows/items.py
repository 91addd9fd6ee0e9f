"""Reading items and their outcomes, by number or key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from joblot.ledger.db.statements import fetch, json_value
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.outputs import readable_output
from joblot.states import ItemState
from joblot.wire import ITEM_MAX


class ItemRow(NamedTuple):
    """An item as it was submitted. `null_payload`: its payload was given, as null."""

    number: int
    key: str
    payload: Any
    null_payload: bool = False


class OutcomeRow(NamedTuple):
    """How an item was settled in a stage, without its output."""

    number: int
    state: ItemState
    hash: bytes | None
    lease_token: UUID | None


def item_row(number: int, key: str, text: str | None) -> ItemRow:
    """An item whose payload is JSON text, or None without a payload."""
    payload = json_value(text)
    return ItemRow(number, key, payload, payload is None and text is not None)


def items_by_number(job_id: int, numbers: Iterable[int]) -> list[ItemRow]:
    """The items with these numbers, ascending."""
    return _items(fetch(connection(), "rows/items_by_number", job=job_id, numbers=list(numbers)))


def items_by_key(job_id: int, keys: Iterable[str]) -> list[ItemRow]:
    """The items with these keys, by number."""
    return _items(fetch(connection(), "rows/items_by_key", job=job_id, keys=list(keys)))


def outcomes_by_number(job_id: int, stage: int, numbers: Iterable[int]) -> dict[int, OutcomeRow]:
    """The outcomes of these items in this stage, by number; an open item has none."""
    asked = {"job": job_id, "stage": stage, "numbers": list(numbers)}
    return {
        number: OutcomeRow(number, ItemState(state), digest and bytes(digest), _uuid(token))
        for number, state, digest, token in fetch(connection(), "rows/outcomes_by_number", **asked)
    }


def outputs_by_number(job_id: int, stage: int, numbers: Iterable[int]) -> dict[int, Any]:
    """The outputs of these items in this stage, by number, wherever they are stored.

    An output that can't be read is Unreadable. Raises Unavailable.
    """
    asked = {"job": job_id, "stage": stage, "numbers": list(numbers)}
    return {
        number: readable_output(json_value(output), ref)
        for number, output, ref in fetch(connection(), "rows/outputs_by_number", **asked)
    }


def settled_among(job_id: int, stage: int, numbers: Iterable[int]) -> set[int]:
    """Which of these items have an outcome in this stage."""
    rows = fetch(connection(), "rows/settled_among", job=job_id, stage=stage, numbers=list(numbers))
    return {number for (number,) in rows}


class FailedItem(NamedTuple):
    """An item that failed or was lost, and where. An item has at most one such stage."""

    number: int
    stage: int
    state: int


def failed_for(job_id: int, cause: str, *, after: int = -1, limit: int) -> list[FailedItem]:
    """The first items behind the number `after` that failed or were lost for this cause."""
    asked = {"job": job_id, "cause": cause, "after": after, "number_max": ITEM_MAX, "limit": limit}
    return [FailedItem(*row) for row in fetch(connection(), "rows/failed_for_cause", **asked)]


def count_of_cause(job_id: int, cause: str) -> int:
    """How many items failed or were lost for this cause."""
    ((items,),) = fetch(connection(), "rows/count_of_cause", job=job_id, cause=cause)
    return int(items)


def _uuid(token: Any) -> UUID | None:
    """SQLite stores it as text."""
    return token if token is None or isinstance(token, UUID) else UUID(token)


def _items(rows: Iterable[tuple[int, str, Any]]) -> list[ItemRow]:
    return [item_row(number, key, payload) for number, key, payload in rows]

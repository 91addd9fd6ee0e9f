"""Items, read by what names them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from joblot.ledger.statements import fetch
from joblot.ledger.transactions import connection


class ItemRow(NamedTuple):
    """An item as it was submitted."""

    number: int
    key: str
    payload: Any


def items_by_number(job_id: int, numbers: Iterable[int]) -> list[ItemRow]:
    """The items with these numbers, ascending."""
    return _items(fetch(connection(), "items_by_number", job=job_id, numbers=list(numbers)))


def items_by_key(job_id: int, keys: Iterable[str]) -> list[ItemRow]:
    """The items with these keys, by number."""
    return _items(fetch(connection(), "items_by_key", job=job_id, keys=list(keys)))


def _items(rows: Iterable[tuple[int, str, Any]]) -> list[ItemRow]:
    """A JSON column comes as text from every database that joblot knows."""
    return [
        ItemRow(number, key, None if payload is None else json.loads(payload))
        for number, key, payload in rows
    ]

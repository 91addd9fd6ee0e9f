"""Ids of jobs in a request."""

from __future__ import annotations

from joblot.api.schemas.common import BIGINT_MAX
from joblot.errors import InvalidInput
from joblot.shown import shown


def ids_of(name: str, given: str, most: int) -> list[int]:
    """`1,2,3` as numbers. Raises InvalidInput."""
    texts = given.split(",") if given else []
    are_numbers = all(text.isascii() and text.isdigit() and len(text) < 20 for text in texts)
    ids = [int(text) for text in texts] if are_numbers else []
    if not are_numbers or len(ids) > most or any(number > BIGINT_MAX for number in ids):
        raise InvalidInput(
            f"{name}: expected at most {most:,} ids of jobs, as 1,2,3; got {shown(given, 60)}"
        )
    return ids

"""Checks of names and priorities from outside."""

from __future__ import annotations

from typing import Any

from joblot.canonical import is_storable
from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.shown import shown

PRIORITY_MAX = 2**31 - 1


def checked_name(given: Any, what: str) -> str:
    """`given`, if every database can store it as a name. Raises InvalidInput."""
    longest = limits().name_chars_max
    if not isinstance(given, str) or not 0 < len(given) <= longest or not is_storable(given):
        raise InvalidInput(
            f"{what}: expected text of 1 to {longest} characters, without U+0000 and lone "
            f"surrogates, got {shown(given)}"
        )
    return given


def checked_priority(given: Any) -> int:
    """`given`, if it is a priority. Raises InvalidInput."""
    if not isinstance(given, int) or isinstance(given, bool) or abs(given) > PRIORITY_MAX:
        raise InvalidInput(
            f"priority: expected a whole number, -{PRIORITY_MAX} to {PRIORITY_MAX}, "
            f"got {shown(given)}"
        )
    return given

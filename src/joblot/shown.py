"""Formatting any value for a message."""

from __future__ import annotations

from datetime import datetime
from typing import Any

CONTAINERS = (list, tuple, dict)

_SCALARS = frozenset({str, int, float, bool, type(None)})  # a fast check for nearly all values
_LEVELS_MAX = 20  # of a value that is shown: repr() is limited only by the stack


def deeper_than(value: Any, levels_max: int) -> bool:
    """True if a value nests lists, tuples and dicts deeper than this. Does not recurse."""
    level, levels = [value] if isinstance(value, CONTAINERS) else [], 0
    while level:
        levels += 1
        if levels > levels_max:
            return True
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if type(inner) not in _SCALARS and isinstance(inner, CONTAINERS)
        ]
    return False


def shown(value: Any, chars: int = 100) -> str:
    """The value's repr, truncated with "…" to `chars`; its type if it has no usable repr."""
    if not deeper_than(value, _LEVELS_MAX):
        try:
            text = repr(value)
            return text if len(text) <= chars else f"{text[: chars - 1]}…"
        except Exception:  # noqa: BLE001, S110 (of any class; a number of too many digits, too)
            pass
    return f"a value of type {type(value).__name__}"


def to_the_second(moment: datetime) -> str:
    """`2030-01-31T12:00:00+00:00`."""
    return moment.isoformat(timespec="seconds")


def counted(number: int, noun: str) -> str:
    """`1 item`, `12,000 items`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

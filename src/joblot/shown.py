"""Formatting any value for a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

CONTAINERS = (list, tuple, dict)

NEAR_SECONDS = 120.0  # from now, within which a moment is shown with its seconds

_SCALARS = frozenset({str, int, float, bool, type(None)})  # a fast check for nearly all values
_LEVELS_MAX = 20  # of a value that is shown: repr() is limited only by the stack


def deeper_than(value: Any, levels_max: int) -> bool:
    """True if a value nests lists, tuples and dicts deeper than this. Does not recurse."""
    level, levels = [value] if isinstance(value, CONTAINERS) else [], 0
    if (
        level
        and levels_max
        and _SCALARS.issuperset(map(type, value.values() if isinstance(value, dict) else value))
    ):
        return False  # the usual one has a single level
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


def at(moment: datetime, now: datetime) -> str:
    """A moment as of `now`: `12:04 UTC`, with seconds if it is near, with the date if it is not."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    near = abs((moment - now).total_seconds()) < NEAR_SECONDS
    day = "" if moment.date() == now.date() or near else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M:%S} UTC" if near else f"{day}{moment:%H:%M} UTC"


def lasting(seconds: float) -> str:
    """A length of time, rounded down: `65 s`, `3 min`, `3 h`, `2 days`."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 1:.0f} s"


def counted(number: int, noun: str) -> str:
    """`1 item`, `12,000 items`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counted_and(number: int, noun: str, singular: str, plural: str) -> str:
    """A count with its verb: `1 item waits`, `12 items wait`."""
    return f"{counted(number, noun)} {singular if number == 1 else plural}"

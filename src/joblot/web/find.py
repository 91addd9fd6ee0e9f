"""The box above a list: `word`, `field:value` and `"several words"` as parameters, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PART = re.compile(r'(?:([a-z_]+):)?("[^"]*"|[^\s"]+)')
_OF_ADDRESSES = ("sort", "after")  # kept in the address only


def parameters(text: str) -> dict[str, str]:
    """The parameters that the text stands for; words without a field are `q`.

    Whether a field exists is for the filter to say, which names those that do.
    """
    found: dict[str, list[str]] = {}
    for field, value in _PART.findall(text):
        found.setdefault(field or "q", []).append(value.strip('"'))
    return {
        field: (" " if field == "q" else ",").join(values)
        for field, values in found.items()
        if any(values)
    }


def text_of(given: Mapping[str, str]) -> str:
    """The text that stands for the parameters."""
    parts = [
        f"{field}:{_quoted(value)}"
        for field, value in given.items()
        if value and field not in ("q", *_OF_ADDRESSES)
    ]
    return " ".join([*parts, *([_quoted(given["q"])] if given.get("q") else [])])


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s:]", value) else value

"""JSON text, read and written quickly, with pydantic's parser.

It takes a tenth of the time of Python's `json`, which matters if a body is megabytes of numbers.
Text that it refuses is passed to `json`, so that both accept the same.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, from_json, to_json

from joblot.api import memory
from joblot.bounded_json import is_too_deep, too_deep, within_bounds
from joblot.canonical import canonical, with_fractions, without_nul
from joblot.errors import InvalidResult, NotReadable

_CACHED_BYTES_MAX = 1_048_576
_BOM = "\ufeff"


def parse_json(text: bytes) -> Any:
    """Strict JSON, within bounds: no text takes more time and memory than these allow.

    Text nested too deep is refused with the value that contains it: see `within_bounds`. Raises
    TooLarge, and NotReadable for anything but JSON, including NaN and infinities.
    """
    memory.takes(len(text))
    text = within_bounds(text)
    try:
        return from_json(text, allow_inf_nan=False, cache_strings=_cached(text))
    except ValueError:
        return _parsed_slowly(text)


def _cached(text: bytes) -> Literal["all", "none"]:
    """Strings that the parser caches would keep the memory of a large text."""
    return "all" if len(text) <= _CACHED_BYTES_MAX else "none"


def json_text(parsed: Any) -> str:
    """A value from `parse_json`, as text; objects keep the order of their names.

    Raises InvalidResult for a value that no database can store, as `canonical` does.
    """
    if is_too_deep(parsed):
        raise InvalidResult(too_deep())
    try:
        text = to_json(parsed, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError):
        return _written_slowly(parsed)
    if "Infinity" in text or "NaN" in text:  # a number that was too large, or in a string
        return _written_slowly(parsed)
    return with_fractions(without_nul(text))


def _written_slowly(parsed: Any) -> str:
    canonical(parsed)  # only to refuse what no database can store: it sorts the names
    return with_fractions(json.dumps(parsed, separators=(",", ":"), ensure_ascii=False))


def _parsed_slowly(text: bytes) -> Any:
    try:  # as UTF-8, as it was measured; a lone surrogate is refused with its value
        decoded = text.decode("utf-8", errors="surrogatepass").removeprefix(_BOM)
        return json.loads(decoded, parse_constant=_refuse_constant, parse_int=_whole)
    except ValueError as error:
        raise NotReadable(f"body: expected JSON, {error}") from None


def _whole(digits: str) -> int | float:
    """Infinity for more digits than Python reads; it is refused with the value around it."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

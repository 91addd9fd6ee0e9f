"""JSON text, read and written quickly: by the parser that the API's schemas bring along.

It takes a tenth of the time of Python's own, which counts where a body is megabytes of numbers.
What it refuses, Python's own decides on, so that both accept the same.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, from_json, to_json

from joblot.api import memory
from joblot.bounded_json import is_too_deep, too_deep, within_bounds
from joblot.errors import InvalidResult, NotReadable
from joblot.wire import canonical, without_nul

_CACHED_BYTES_MAX = 1_048_576
_BOM = "\ufeff"


def parse_json(text: bytes) -> Any:
    """JSON, strictly, and within bounds: no text costs more time and memory than these allow.

    What is nested too deep is refused with the value that it is in: see `within_bounds`. Raises
    TooLarge, and NotReadable for what isn't JSON, NaN and infinities included.
    """
    memory.takes(len(text))
    text = within_bounds(text)
    try:
        return from_json(text, allow_inf_nan=False, cache_strings=_cached(text))
    except ValueError:
        return _parsed_slowly(text)


def _cached(text: bytes) -> Literal["all", "none"]:
    """Strings that the parser keeps for the next text would hold the memory of a large one."""
    return "all" if len(text) <= _CACHED_BYTES_MAX else "none"


def json_text(parsed: Any) -> str:
    """What `parse_json` gave, as text; objects keep the order of their names.

    Raises InvalidResult for what no database can keep, as `wire.canonical` does.
    """
    if is_too_deep(parsed):
        raise InvalidResult(too_deep())
    try:
        text = to_json(parsed, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError):
        return _written_slowly(parsed)
    if "Infinity" in text or "NaN" in text:  # a number that was too large, or in a string
        return _written_slowly(parsed)
    return without_nul(text)


def _written_slowly(parsed: Any) -> str:
    canonical(parsed)  # refuses what no database can keep; it would sort the names
    return json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)


def _parsed_slowly(text: bytes) -> Any:
    try:  # as UTF-8, for it was measured as such; a lone surrogate is refused with its value
        decoded = text.decode("utf-8", errors="surrogatepass").removeprefix(_BOM)
        return json.loads(decoded, parse_constant=_refuse_constant, parse_int=_whole)
    except ValueError as error:
        raise NotReadable(f"body: expected JSON, {error}") from None


def _whole(digits: str) -> int | float:
    """Infinity for more digits than Python reads, which is refused with the value that it is in."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

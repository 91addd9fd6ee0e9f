"""JSON text, read and written quickly: by the parser that the API's schemas bring along.

It takes a tenth of the time of Python's own, which counts where a body is megabytes of numbers.
What it refuses, Python's own decides on, so that both accept the same.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from joblot.errors import NotReadable
from joblot.wire import canonical, without_nul


def parse_json(text: bytes) -> Any:
    """JSON, strictly. Raises NotReadable for what isn't, NaN and infinities included."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return _parsed_slowly(text)


def json_text(parsed: Any) -> str:
    """What `parse_json` gave, as text; objects keep the order of their names.

    Raises InvalidResult for what no database can keep, as `wire.canonical` does.
    """
    try:
        text = to_json(parsed, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError, RecursionError):
        return _written_slowly(parsed)
    if "Infinity" in text or "NaN" in text:  # a number that was too large, or in a string
        return _written_slowly(parsed)
    return without_nul(text)


def _written_slowly(parsed: Any) -> str:
    canonical(parsed)  # refuses what no database can keep; it would sort the names
    return json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)


def _parsed_slowly(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotReadable(f"body: expected JSON, {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

"""What a function returned, as JSON values, where their meaning is certain.

| returned | JSON |
|---|---|
| a date, time or datetime | its ISO 8601 text |
| a path, a UUID, a Decimal | its text |
| a member of an Enum | its value |
| a dataclass | an object of its fields |
| a number of another library (`item()`, `__index__`) | the number |
| an array with a `shape` (NumPy's, PyTorch's) | its lists |

The keys of objects likewise. Everything else stays as it is, and is refused by the JSON encoder: a
set has no order, bytes no encoding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from operator import index
from pathlib import PurePath
from typing import Any
from uuid import UUID

from joblot.bounded_json import too_deep
from joblot.config import limits
from joblot.errors import InvalidResult

JSON = (str, int, float, bool, type(None))


def plain(value: Any, depth: int = 0) -> Any:
    """Raises InvalidResult for values that are nested too deeply, or two equal keys."""
    if depth > limits().json_depth_max:
        raise InvalidResult(too_deep())
    if isinstance(value, Mapping):
        return _object([(_key(key), plain(one, depth + 1)) for key, one in value.items()])
    if isinstance(value, list | tuple):
        return [plain(one, depth + 1) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [one.name for one in dataclasses.fields(value)]
        return {name: plain(getattr(value, name), depth + 1) for name in fields}
    known = _scalar(value)
    return value if type(known) is type(value) else plain(known, depth + 1)


def _object(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidResult("expected different keys in an object, got two that are the same text")
    return found


def _key(key: Any) -> Any:
    """Text, as JSON has no other keys; what JSON itself turns into text stays."""
    if isinstance(key, JSON):
        return key
    known = _scalar(key)
    if type(known) is int:
        return str(known)
    return known if isinstance(known, str) else key


def _scalar(value: Any) -> Any:
    """The value itself if it has no certain meaning in JSON."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, JSON):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, PurePath | UUID | Decimal):
        return str(value)
    if _is_array(value):
        return value.tolist() if value.shape else value.item()
    return index(value) if hasattr(type(value), "__index__") else value


def _is_array(value: Any) -> bool:
    """An array, or a number of its library. A series has labels, so its list says too little."""
    kind = type(value)
    has = hasattr(kind, "tolist") and hasattr(kind, "item") and not hasattr(kind, "keys")
    return has and isinstance(getattr(value, "shape", None), tuple)

"""Names given from outside: of jobs, stages, projects and workers, and idempotency keys."""

from __future__ import annotations

from typing import Any

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.shown import shown
from joblot.wire import is_storable


def checked_name(given: Any, what: str) -> str:
    """`given`, if every database can store it as a name. Raises InvalidInput."""
    longest = limits().name_chars_max
    if not isinstance(given, str) or not 0 < len(given) <= longest or not is_storable(given):
        raise InvalidInput(
            f"{what}: expected text of 1 to {longest} characters, without U+0000 and lone "
            f"surrogates, got {shown(given)}"
        )
    return given

"""`reply_subject`: the worker gets it with a task and returns it, unchanged, with the result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_SHAPE = re.compile(r"joblot\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Subject:
    """An item, and the lease to report it through."""

    lease: str
    item: int

    def __str__(self) -> str:
        return f"joblot.{self.lease}.{self.item}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """None if joblot did not create it."""
        found = _SHAPE.fullmatch(text)
        return cls(found[1], int(found[2])) if found else None

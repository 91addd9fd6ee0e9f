"""A check: what was checked, what was expected, what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    expected: Any
    found: Any

    @property
    def ok(self) -> bool:
        return bool(self.expected == self.found)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}

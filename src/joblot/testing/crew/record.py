"""The record of a crew: who reported what, in which order, and what the answer was.

Each worker writes its own file, a line for each report that was answered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reported:
    """One report. `at` is in seconds of the machine's clock, the same for all its processes."""

    worker: str
    at: float
    lease: str
    stage: str
    items: Sequence[int]
    outcomes: Sequence[str]
    receipts: Sequence[str]

    def as_line(self) -> str:
        return json.dumps(asdict(self))


def read(path: Path) -> list[Reported]:
    """What one worker reported, in order; nothing if it came to nothing.

    A worker that was killed may have begun one more line.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [Reported(**json.loads(line)) for line in lines]

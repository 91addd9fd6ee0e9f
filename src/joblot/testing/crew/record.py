"""The record of a crew: which worker reported what, in which order, with which answers.

Each worker writes its own file, one line per answered report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reported:
    """One report. `at` is in seconds on the machine's clock, which all processes share."""

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
    """Return the reports of one worker, in order; none if it has no file.

    Ignores the incomplete last line of a worker that was killed.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [Reported(**json.loads(line)) for line in lines]

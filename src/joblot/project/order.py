"""What a worker of a project is to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joblot.worker.retrying import Retrying
from joblot.worker.settings import ITEM_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class ProjectOrder:
    """Which of the project's functions to serve, and how. Without `pipelines`, all of them."""

    pipelines: Sequence[str] = ()
    job: int | None = None
    item_seconds_max: float = ITEM_SECONDS_MAX
    retry_on: Sequence[str] = ()
    no_retry_on: Sequence[str] = ()
    keep_output: str = "failed"  # of which items to keep what they print: a Keep
    verbose: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def call_seconds_max(self) -> float:
        """A call that takes longer is frozen."""
        return self.item_seconds_max

    @property
    def retrying(self) -> Retrying:
        return Retrying(frozenset(self.retry_on), frozenset(self.no_retry_on))

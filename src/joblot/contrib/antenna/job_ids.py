"""The number by which the worker knows a job. It names a stage too, for the worker does not.

The first stage of job 42 is job 42 to the worker, its second stage 1000000000042. So a job that
passes several of the fleet's pipelines gives each its own items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

_STAGE_STEP = 10**12


@dataclass(frozen=True, slots=True)
class JobStage:
    """A job, and the position of the stage that is to be worked."""

    job: int
    stage: int

    @classmethod
    def of(cls, number: int) -> Self:
        return cls(number % _STAGE_STEP, number // _STAGE_STEP)

    def __int__(self) -> int:
        return self.stage * _STAGE_STEP + self.job

"""The number by which the worker knows a job. It includes the stage, which the worker can't name.

The first stage of job 42 is job 42 to the worker, its second stage 1000000000042. So a job that
passes several of the fleet's pipelines gives each its own items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

_STAGE_STEP = 10**12


@dataclass(frozen=True, slots=True)
class JobStage:
    """A job, and the position of the stage to process."""

    job: int
    stage: int

    @classmethod
    def of(cls, number: int) -> Self:
        return cls(number % _STAGE_STEP, number // _STAGE_STEP)

    def __int__(self) -> int:
        return self.stage * _STAGE_STEP + self.job

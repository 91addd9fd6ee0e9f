"""What the user of an import writes: where the old system keeps its jobs, items and results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class OldJob:
    """A running job of the old system.

    `counts` is what its JSON says, by stage: `{"process": {"succeeded": 12, "failed": 1}}`. It is
    compared with the results that are found, and decides nothing.
    """

    id: str
    name: str
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    project: str = "default"
    config: Any = None
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class KnownResult:
    """A result that the old system has stored: a success, or with `error` a failure."""

    key: str
    output: Any = None
    metrics: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    error_type: str = "Error"


class BlobMapping(Protocol):
    """Where the old system keeps what is moved. All methods are called again by each import."""

    @property
    def source(self) -> str:
        """A name for the old system. With a job's id it is the idempotency key of the new job."""

    @property
    def stages(self) -> Sequence[Mapping[str, str]]:
        """The stages of every job, as `submit` takes them, named as in `OldJob.counts`."""

    def jobs(self) -> Iterable[OldJob]:
        """The jobs to move: those that run, and those that `close` has closed."""

    def items(self, job: OldJob) -> Iterable[Mapping[str, Any] | str]:
        """All items of a job, as `submit` takes them."""

    def known(self, job: OldJob, stage: str) -> Iterable[KnownResult]:
        """The results that are stored for a stage: rows, files; not the counters of the JSON."""

    def close(self, job: OldJob) -> bool:
        """Stop the old system's writes to this job, by a conditional update of its status.

        Called at the cut-over only. Returns whether it is closed, by this call or an earlier one.
        """

    def moved(self, job: OldJob, job_id: int) -> None:
        """Note the number of the new job. May be called several times."""

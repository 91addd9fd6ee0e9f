"""The shape that all strategies share, and the only thing in which they may differ: the accounting.

A handler receives a batch of results of one job. It saves their rows, by the same statement for
every strategy, and accounts for them. Whatever delivers batches delivers at least once: a batch
may come twice, also at the same time, and comes again after its handler has died.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Batch:
    """Results of `size` items of a job, from number `first` on. Jobs are counted from 0."""

    job: int
    first: int
    size: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.size)


class Strategy(Protocol):
    """One way to keep the count of a job, and to notice once that it has ended."""

    key: ClassVar[str]
    what: ClassVar[str]
    points: ClassVar[tuple[str, ...]]  # of `joblot.faults`, at which a handler may die
    needs_redis: ClassVar[bool]
    one_process: ClassVar[bool]  # the handlers are threads of one process, as in a server
    every: ClassVar[float]  # seconds between two rounds of the background

    def setup(self, sizes: Sequence[int], batches: Sequence[Batch]) -> None:
        """Make jobs of so many items, of which these batches will be handled."""

    def handle(self, batch: Batch) -> None:
        """Save and account; when it returns, the delivery is acknowledged."""

    def background(self) -> Callable[[], None] | None:
        """One round of what has to run beside the handlers, in one process; None: nothing."""

    def counts(self, job: int) -> int:
        """The items of the job that are done, as a reader is told now."""

    def finished(self, job: int) -> bool:
        """Whether a reader is told now that the job has ended."""

    def status(self, job: int) -> str:
        """As a reader is told it: STARTED, SUCCESS, REVOKED."""

    def cancel(self, job: int) -> None:
        """Cancel the job now, as its users do."""

    def stale_save(self, job: int) -> Callable[[], None]:
        """Load the job's row now, as any other code of the project may; the result saves it."""

    def finals(self, job: int) -> int:
        """How often the end of the job was announced."""

    def lag(self, job: int) -> float | None:
        """Seconds from the commit of the last result to the commit of the job's end."""

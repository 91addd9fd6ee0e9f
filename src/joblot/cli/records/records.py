"""All files that a run writes: which they are, and whether writing them succeeded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from joblot.cli import out as out_file
from joblot.cli.records import joblog as joblog_file
from joblot.cli.records.ended import Ended
from joblot.cli.records.joblog import Joblog
from joblot.cli.records.outputs import growing
from joblot.cli.records.recorder import Failure, Recorder
from joblot.errors import Unavailable

PIPE_SECONDS_MAX = 5.0  # for the reader of a pipe, once the run was interrupted


@dataclass(slots=True)
class Records:
    """`out` and `joblog` are the names given, or None."""

    out: str | None = None
    joblog: str | None = None
    _outputs: Recorder | None = None
    _items: Recorder | None = None
    _all: list[Recorder] = field(default_factory=list)

    def check(self, resume: int | None) -> None:
        """Raises InvalidInput if one can't be written: before the work begins."""
        out_file.check(self.out)
        joblog_file.check(self.joblog, resume)

    def __bool__(self) -> bool:
        return self.out is not None or self.joblog is not None

    def start(
        self, job: int, failed: Callable[[Failure], None], *, resumed: bool, ended: bool = False
    ) -> None:
        """Write while the job goes on; `failed` is called from another thread.

        `ended`: the job has ended already, so that a file of outputs is written only once.
        """
        if self.out is not None and not (ended and self._is_file):
            self._outputs = Recorder(growing(job, self.out), failed)
        if self.joblog is not None:
            self._items = Recorder(Joblog(job, self.joblog, resumed=resumed), failed)
        self._all = [one for one in (self._outputs, self._items) if one is not None]
        for one in self._all:
            one.start()

    def take(self, worker: str, ended: Sequence[Sequence[Any]]) -> None:
        endings = [Ended.of(one, worker) for one in ended]
        for one in self._all:
            one.take(endings)

    def end(self, job: int, *, finished: bool) -> None:
        """Write the rest. Raises BrokenPipeError if nobody reads, Unavailable for other errors."""
        for one in self._all:
            one.end(finished=finished, seconds_max=None if finished else PIPE_SECONDS_MAX)
        if self.out is not None and finished and self._is_file:
            out_file.write(job, self.out)
        elif self._outputs is not None and self._outputs.error is not None:
            raise self._outputs.error
        if self._items is not None and (error := self._items.error) is not None:
            raise error if not isinstance(error, OSError) else Unavailable(str(error.strerror))

    @property
    def _is_file(self) -> bool:
        return self.out is not None and out_file.is_file(self.out)

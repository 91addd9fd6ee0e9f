"""The events of a run, which its main thread handles one after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from joblot.cli import verbs
from joblot.cli.records.recorder import Failure
from joblot.cli.submission import Submitted
from joblot.errors import Unavailable
from joblot.worker.ending import signals_that_end
from joblot.worker.supervisor import Answered, Died


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A signal was received."""

    number: int


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """A file of the run could not be written."""

    error: Failure


Happening = Died | Answered | Interrupted | Submitted | NotRecorded


@contextmanager
def signals_passed_to(receive: Callable[[Interrupted], object]) -> Iterator[None]:
    """Pass signals on as `Interrupted`; Python handles them in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: FrameType | None) -> None:
        receive(Interrupted(number))

    before = {number: signal.signal(number, note) for number in signals_that_end()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def why_halted(job_id: int) -> str:
    """Why its failures have halted the job; "" if they have not, or the database is away."""
    with suppress(Unavailable):
        reasons = verbs.why(job_id)["reasons"]
        return next((one["text"] for one in reasons if one["code"] == "halted"), "")
    return ""

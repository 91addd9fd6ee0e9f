"""`joblot run`: a function over many items, on worker processes; it can be resumed at any time.

One thread submits, one sweeps, and the main thread watches the workers and shows the progress.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joblot.cli import text, verbs
from joblot.cli.clocks import running
from joblot.cli.dead_workers import DeathsInARow, end_lease
from joblot.cli.display import Progress, progress_display
from joblot.cli.happenings import Happening, Interrupted, NotRecorded, signals_passed_to, why_halted
from joblot.cli.plan import Plan
from joblot.cli.pool import Pool
from joblot.cli.records.records import Records
from joblot.cli.submission import Items, Submission, Submitted
from joblot.cli.useless import useless_error
from joblot.cli.worker_process import RunOrder
from joblot.errors import InvalidInput, JoblotError, Refused, Unavailable
from joblot.sentences import settled_in
from joblot.states import TERMINAL, JobStatus
from joblot.worker.recycling import OUT_OF_MEMORY
from joblot.worker.supervisor import Answered, Died

logger = logging.getLogger("joblot.cli")

SHOW_SECONDS = 0.2
UNAVAILABLE_SECONDS_MAX = 60.0  # without the database, before the run gives up
OTHERS_GO_ON = "a worker can't begin, the others go on: {}"
END_SECONDS_MAX = 5.0  # for workers to end after the job has ended


@dataclass(slots=True)
class Run:
    """One process's part in a job: its workers, its submission, and a queue of what happens."""

    plan: Plan
    workers: int
    db: str | None
    records: Records = field(default_factory=Records)
    more: Mapping[str, Any] = field(default_factory=dict)  # of each worker's order
    quiet: bool = False
    job_id: int = 0
    interrupted: int = 0
    halted: str = ""  # why
    error: JoblotError | None = None
    seconds: float = 0.0  # that the run has worked
    settled_before: int = 0  # of the job's items
    _happened: queue.SimpleQueue[Happening] = field(default_factory=queue.SimpleQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _submission: Submission | None = None
    _deaths: DeathsInARow = field(default_factory=DeathsInARow)
    _settled: int = 0
    _away_since: float | None = None
    _pool: Pool = field(init=False)

    def _order(self) -> RunOrder:
        own = {"name": "", "db": self.db, "journal": bool(self.records)}
        return RunOrder(**{**self.plan.as_order(), **own, **self.more})

    def notify(self, happening: Happening) -> None:
        """Called from any thread."""
        self._happened.put(happening)

    def notify_of_process(self, happening: Died | Answered) -> None:
        """Called from other threads. Endings of items are recorded at once, and not queued."""
        if isinstance(happening, Answered) and "ended" in happening.answer:
            self.records.take(happening.process.name, happening.answer["ended"])
        else:
            self._happened.put(happening)

    def prepare(self) -> None:
        """Start the workers, and wait until one has loaded the function. Raises InvalidInput."""
        self._pool = Pool(self._order(), self.workers, self.plan.cwd, self.notify_of_process)
        try:
            self._pool.start()
            self._wait_until_one_is_ready()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """End the workers, which have no work yet."""
        self._pool.supervisor.kill()

    def _wait_until_one_is_ready(self) -> None:
        first: InvalidInput | None = None
        while not self._pool.ready:
            happening = self._happened.get()
            if isinstance(happening, Interrupted):
                raise KeyboardInterrupt
            if isinstance(happening, Died | Answered):
                failure = self._pool.failed_to_load(happening)  # also notes who is ready
                first = first or failure
            if isinstance(happening, Died):
                self._pool.forget(happening)
            if first is not None and not self._pool.loading:
                raise first
        if first is not None:
            self._say(OTHERS_GO_ON.format(first))

    def work(self, job_id: int, source: Items | None, *, resumed: bool) -> dict[str, Any]:
        """Work on the job until it ends, or this run does; returns the job's progress.

        If the run ended first, `interrupted` or `error` says why.
        """
        self.job_id = job_id
        self.settled_before = settled_in(verbs.progress(job_id))
        began = time.monotonic()
        self.records.start(
            job_id, lambda error: self._happened.put(NotRecorded(error)), resumed=resumed
        )
        with (
            signals_passed_to(self.notify),  # first: a signal must find the workers that have work
            running(verbs.sweep_until, verbs.supervise_until),
            progress_display(quiet=self.quiet) as display,
        ):
            try:
                self._assign(job_id, source)
                while not self._is_over(display):
                    self._handle_next()
            finally:
                self._end()
        self.seconds = time.monotonic() - began
        return verbs.progress(job_id)

    def _assign(self, job_id: int, source: Items | None) -> None:
        self._pool.assign(job_id)
        if source is not None:
            self._submission = Submission(job_id, source, self._happened.put)
            self._submission.start()

    def _is_over(self, display: Progress) -> bool:
        """True when the job has ended, or the run was stopped and its workers have drained."""
        state = self._progress()
        if state is not None:
            display.update(state)
            self._settled = settled_in(state)
            if state["status"] in TERMINAL:
                return True
            if state["status"] == JobStatus.PAUSED and not self._stop.is_set():
                self._drain_if_halted()
        return self._stop.is_set() and not self._pool.supervisor.processes

    def _drain_if_halted(self) -> None:
        """A job that was paused by a person may be resumed while this run waits."""
        self.halted = why_halted(self.job_id)
        if self.halted:
            self._drain()

    def _progress(self) -> dict[str, Any] | None:
        try:
            state = verbs.progress(self.job_id)
        except Unavailable as error:
            self._away(error)
            return None
        except Refused as error:  # deleted meanwhile
            self._give_up(error)
            return None
        self._away_since = None
        return state

    def _away(self, error: Unavailable) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > UNAVAILABLE_SECONDS_MAX:
            self._give_up(error)

    def _give_up(self, error: JoblotError) -> None:
        self.error = self.error or error
        self._drain()

    def _drain(self) -> None:
        self._stop.set()
        if self._submission is not None:
            self._submission.stop()
        self._pool.supervisor.drain()

    def _handle_next(self) -> None:
        """Handle the next event, if there is one before the progress is due to be shown."""
        try:
            happening = self._happened.get(timeout=SHOW_SECONDS)
        except queue.Empty:
            return
        match happening:
            case Died():
                self._handle_death(happening)
            case Interrupted():
                self._interrupt(happening.number)
            case Answered(answer={"useless": cause}):
                self._give_up(useless_error(cause, self.job_id))
            case Answered():
                self._handle_answer(happening)
            case Submitted(error=JoblotError() as error):
                self._give_up(error)
            case NotRecorded(error=BrokenPipeError()):  # its reader wants no more
                self._drain()
            case NotRecorded(error=error):
                self._say(f"the run goes on, although its files can't be written: {error}")

    def _handle_answer(self, answered: Answered) -> None:
        """One of several workers may fail to load the function, for lack of memory."""
        if (error := self._pool.failed_to_load(answered)) is not None:
            self._say(OTHERS_GO_ON.format(error))

    def _interrupt(self, number: int) -> None:
        """The first signal drains, the second kills."""
        if self.interrupted:
            self._pool.supervisor.kill()
            return
        self.interrupted = number
        self._say("finishing the items in progress; press Ctrl-C again to stop at once")
        self._drain()

    def _say(self, line: str) -> None:
        if not self.quiet:
            text.err().print(line)

    def _handle_death(self, died: Died) -> None:
        """End the leases of a dead worker, and replace it unless it was asked to end."""
        try:
            leases = verbs.in_flight(worker=died.process.name)
            for lease in leases:
                end_lease(lease, died, self.plan, worked_on=lease is leases[-1])
        except Unavailable as error:
            logger.warning("leases of a dead worker wait until they expire: %s", error)
            leases = []
        self._pool.forget(died)
        if died.process.asked:
            return
        if died.process.leaves:
            self._replace_recycled(died)
        elif died.process in self._pool.ready:
            self._replace(died, fruitful=bool(leases) or died.frozen)
        else:
            self._note_failure(died)

    def _note_failure(self, died: Died) -> None:
        """A worker has ended before it could begin."""
        is_known = self._pool.has_failed(died.process)
        error = self._pool.failed_to_load(died) or Unavailable("no worker is left")
        if not self._pool.supervisor.processes:
            self._give_up(error)
        elif not is_known:
            self._say(OTHERS_GO_ON.format(error))

    def _replace(self, died: Died, *, fruitful: bool) -> None:
        """Replace a dead worker, as long as there is progress, or an item to blame."""
        self._deaths.note(self._settled, fruitful=fruitful)
        if self._deaths.too_many:
            self._give_up(
                Unavailable(
                    f"{self._deaths.count} workers in a row died before they held an item "
                    f"({died.how}); see their output above"
                )
            )
        elif not self._stop.is_set():
            self._say(f"a worker ended ({died.how}); another begins")
            self._start_one()

    def _replace_recycled(self, died: Died) -> None:
        """Start another worker in place of one that ended to be recycled."""
        if self._stop.is_set():
            return
        if died.process.leaves == OUT_OF_MEMORY:
            self._say(f"a worker is replaced: {died.process.leaves}")
        self._start_one()

    def _start_one(self) -> None:
        try:
            self._pool.start_one()
        except Unavailable as error:
            self._give_up(error)

    def _end(self) -> None:
        """End workers and submission; kill workers that don't end, and end their leases."""
        self._drain()
        deadline = time.monotonic() + END_SECONDS_MAX
        while self._pool.supervisor.processes:
            left = deadline - time.monotonic()
            if left <= 0:
                self._pool.supervisor.kill()
            try:
                happening = self._happened.get(timeout=max(left, SHOW_SECONDS))
            except queue.Empty:
                continue
            if isinstance(happening, Died):
                self._handle_death(happening)
        if self._submission is not None:
            self._submission.join()
            self.error = self.error or self._submission.error

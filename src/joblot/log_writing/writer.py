"""The thread that writes what was logged into the jobs' logs, in batches.

The code that logs puts a line into a bounded queue and continues; lines that do not fit are
counted. The thread has its own database connection, which it closes when there is nothing to write.
A forked child begins with an empty queue, since its parent writes what is in its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from joblot.config import limits
from joblot.policy import doubled

logger = logging.getLogger("joblot.ledger")

SOURCE = "joblot"  # of the lines that say how many were dropped
_JOBS_COUNTED_MAX = 1_000  # jobs whose dropped lines are counted


@dataclass(frozen=True, slots=True)
class Logged:
    """A line in the queue. `at` is a time of the monotonic clock."""

    job_id: int
    at: float
    level: str
    source: str
    message: str
    about: Mapping[str, Any]


class Writer:
    """One for a process. `put` may be called anywhere, also in a signal handler: it takes no lock
    unless a line is dropped or the thread has to be started.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """With nothing to write; in a forked child, which has one thread."""
        self._queue: SimpleQueue[Logged | threading.Event] = SimpleQueue()
        self._lock = threading.RLock()
        self._dropped: Counter[int] = Counter()
        self._thread: threading.Thread | None = None

    def put(self, line: Logged) -> None:
        if self._queue.qsize() >= limits().log_queue_lines_max or not self._is_running():
            self._drop(line.job_id)
        else:
            self._queue.put(line)

    def flush(self, seconds: float) -> bool:
        """Wait until what was put before is written, or given up."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def _is_running(self) -> bool:
        """Start the thread if it is not there; False if none can be started any more."""
        if self._thread is not None and self._thread.is_alive():
            return True
        with self._lock:
            alive = self._thread  # another thread may have started it
            if alive is None or not alive.is_alive():
                thread = threading.Thread(target=self._run, name="joblot-job-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter exits
                    return False
                self._thread = thread
        return True

    def _drop(self, job_id: int, lines: int = 1) -> None:
        with self._lock:
            if job_id in self._dropped or len(self._dropped) < _JOBS_COUNTED_MAX:
                self._dropped[job_id] += lines

    def _run(self) -> None:
        while True:
            batch, flushed = self._gather()
            _write_all(batch)
            if self._queue.empty():
                self._say_what_was_dropped()
                _disconnect()
            for event in flushed:
                event.set()

    def _gather(self) -> tuple[list[Logged], list[threading.Event]]:
        """Wait for a line, and for those that follow soon; a flush ends the wait."""
        batch: list[Logged] = []
        until = float("inf")
        while len(batch) < limits().log_batch_lines_max:
            left = max(0.0, until - time.monotonic()) if batch else None
            try:
                one = self._queue.get(timeout=left)
            except Empty:
                break
            if isinstance(one, threading.Event):
                return batch, [one]
            until = min(until, time.monotonic() + limits().log_batch_seconds)
            batch.append(one)
        return batch, []

    def _say_what_was_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        for job_id, count in dropped.items():
            _write(job_id, [_note(job_id, count)])


def _write_all(batch: Sequence[Logged]) -> None:
    by_job: dict[int, list[Logged]] = defaultdict(list)
    for line in batch:
        by_job[line.job_id].append(line)
    for job_id, lines in by_job.items():
        _write(job_id, lines)


def _write(job_id: int, lines: Sequence[Logged]) -> None:
    """Try until the database answers. Drops lines that it refuses, and those of no job."""
    tries = 0
    while True:
        try:
            _append(job_id, lines)
            return
        except Exception as error:  # noqa: BLE001 (nothing may end the thread)
            _disconnect()
            if not _may_pass(error):
                about = {"job": job_id}
                what = "job %s: %d log lines were dropped: %s"
                logger.warning(what, job_id, len(lines), error, extra=about)
                return
        most = limits().log_retry_seconds_max
        time.sleep(doubled(limits().log_retry_seconds, tries, most=most))
        tries += 1


def _note(job_id: int, count: int) -> Logged:
    lines = "1 line was" if count == 1 else f"{count:,} lines were"
    text = f"{lines} dropped here: more was logged than could be written"
    return Logged(job_id, time.monotonic(), "warning", SOURCE, text, {})


def _append(job_id: int, lines: Sequence[Logged]) -> None:
    # Imported late, because Django configures logging before it loads the models.
    from joblot.ledger.rows.log import Line, append  # noqa: PLC0415

    now = time.monotonic()
    append(
        job_id,
        [
            Line(
                message=line.message,
                level=line.level,
                source=line.source,
                age=now - line.at,
                stage=line.about.get("stage"),
                number=line.about.get("item"),
                worker=str(line.about.get("worker", "")),
                lease=str(line.about.get("lease", "")),
            )
            for line in lines
        ],
    )


def _may_pass(error: Exception) -> bool:
    """True if the database failed, or was busy, rather than refused the lines."""
    from joblot.ledger.db.transactions import is_conflict, is_lost  # noqa: PLC0415

    return is_conflict(error) or is_lost(error)


def _disconnect() -> None:
    """Close this thread's connections; a test's database can't be dropped while one is open."""
    from django.db import connections  # noqa: PLC0415

    with suppress(Exception):
        connections.close_all()


# Threads: it has a lock, and begins again only in a forked child, which has one thread.
_writer = Writer()


def writer() -> Writer:
    return _writer


def is_writing() -> bool:
    """True in the thread that writes."""
    return _writer.is_current()


os.register_at_fork(after_in_child=_writer.begin)

"""Jobs that are watched. Each is read once a second for all viewers of this process; a viewer takes
a little memory and no thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from joblot.api.live import Message
from joblot.config import limits
from joblot.errors import JoblotError, NotFound
from joblot.ledger.read.snapshot import Key

logger = logging.getLogger("joblot.server")

LOOK_SECONDS = 0.1  # between checks for a job that is due to be read
SHARE_MAX = 0.25  # of the time, spent on reading; many watched jobs are each read less often

Read = Callable[[int], Awaitable[Message]]


class WatchedJob:
    """A job that somebody watches."""

    def __init__(self) -> None:
        self.viewers = 0
        self.read_at = float("-inf")
        self.is_calm = False  # its run has ended
        self.is_gone = False  # deleted
        self._message: Message | None = None
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_due(self) -> bool:
        pause = limits().live_final_seconds if self.is_calm else limits().live_seconds
        return time.monotonic() >= self.read_at + pause

    def after(self, seen: Key) -> Message | None:
        """The last message, if it is later than what the viewer has seen."""
        last = self._message
        return last if last is not None and last.key > seen else None

    def changed(self) -> asyncio.Future[None]:
        """Done with the next message, or when the job is gone. Shared by all viewers."""
        return self._next

    def publish(self, message: Message) -> None:
        self._message = message
        self._wake()

    def end(self) -> None:
        self.is_gone = True
        self._wake()

    def _wake(self) -> None:
        self._next.set_result(None)
        self._next = asyncio.get_running_loop().create_future()


class LiveJobs:
    """All watched jobs of this process. `read` reads one of them. Raises NotFound, Unavailable."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._jobs: dict[int, WatchedJob] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_failing = False

    @property
    def viewers(self) -> int:
        return sum(job.viewers for job in self._jobs.values())

    @contextmanager
    def watched(self, job_id: int) -> Iterator[WatchedJob]:
        """The job, which is read as long as a viewer is in such a block."""
        job = self._jobs.setdefault(job_id, WatchedJob())
        job.viewers += 1
        job.is_calm = False  # as far as the new viewer knows
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_while_watched())
        try:
            yield job
        finally:
            job.viewers -= 1
            if not job.viewers and self._jobs.get(job_id) is job:
                del self._jobs[job_id]

    async def stop(self) -> None:
        """Read nothing from now on."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _read_while_watched(self) -> None:
        while self._jobs:
            began = time.monotonic()
            for job_id, job in list(self._jobs.items()):
                if job.is_due:
                    await self._read_one(job_id, job)
            took = time.monotonic() - began
            await asyncio.sleep(max(LOOK_SECONDS, took / SHARE_MAX - took))

    async def _read_one(self, job_id: int, job: WatchedJob) -> None:
        """Publish what the database says now. A failure publishes nothing, so its viewers notice
        the silence.
        """
        job.read_at = time.monotonic()
        try:
            message = await self._read(job_id)
        except NotFound:
            self._jobs.pop(job_id, None)
            job.end()
        except JoblotError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 (logged, and read again)
            self._failed(error, unexpected=True)
        else:
            self._is_failing = False
            job.is_calm = message.is_final
            job.publish(message)

    def _failed(self, error: Exception, *, unexpected: bool = False) -> None:
        if not self._is_failing:  # once per outage
            logger.warning("watched jobs can't be read: %s", error, exc_info=unexpected)
        self._is_failing = True

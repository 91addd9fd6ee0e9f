"""One viewer's stream of snapshots of a job."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

from joblot.api.long_polling import Followed, ViewCall
from joblot.config import limits
from joblot.server.bridge import Bridge, Scope
from joblot.server.live import LiveJobs, WatchedJob
from joblot.server.outgoing import KEEP_ALIVE_SECONDS, OutgoingStream

CHECK_AGAIN = ViewCall(is_first=False)


class Following:
    """A viewer that follows a job until it leaves, or its rights or the job end."""

    def __init__(self, bridge: Bridge, scope: Scope, followed: Followed) -> None:
        self._bridge = bridge
        self._scope = CHECK_AGAIN.in_scope(scope)
        self._followed = followed
        self._checked_at = time.monotonic()

    async def send(
        self, jobs: LiveJobs, stream: OutgoingStream, *ends: asyncio.Future[Any]
    ) -> None:
        """Send each snapshot, until one of `ends` is done. A slow viewer misses some."""
        seen = self._followed.after
        with jobs.watched(self._followed.job_id) as job:
            while not job.is_gone:
                message = job.after(seen)
                if message is None:
                    await self._wait(job, ends)
                    message = job.after(seen)
                if any(end.done() for end in ends) or not await self._may_go_on():
                    return
                await stream.put(message.text if message else b"")
                seen = message.key if message else seen

    async def _wait(self, job: WatchedJob, ends: tuple[asyncio.Future[Any], ...]) -> None:
        await asyncio.wait(
            {job.changed(), *ends},
            timeout=KEEP_ALIVE_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )

    async def _may_go_on(self) -> bool:
        """Call the view again, if it is time: it says whether the viewer may still see the job."""
        if time.monotonic() - self._checked_at < limits().live_rights_seconds:
            return True
        self._checked_at = time.monotonic()
        answer = await self._bridge.ask(self._scope, io.BytesIO())
        return isinstance(answer.follow_up, Followed)

"""The worker's client for a ledger in this process: it calls the verbs directly."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import connections

from joblot.cli import verbs
from joblot.wire import CallProgress, Claim, ItemReceipt, NextClaim, Reported, Result

WAIT_SECONDS = 10.0  # that a worker's claim waits for work
IDLE_SECONDS_MIN = 1.0  # before a worker listens: at the end of a run it would be for nothing
PAUSE_SECONDS = (0.05, 1.0)  # after notifications of work for others; doubles


def wait_seconds() -> float:
    """How long a worker's claim may wait for work here; 0 if it has to poll."""
    return WAIT_SECONDS if verbs.has_notifications() else 0.0


class LocalClient:
    """Calls the ledger's verbs; each thread has its own database connection.

    Where PostgreSQL's notifications arrive, a claim waits for them. Elsewhere it does not wait.
    """

    def __init__(self) -> None:
        self._listener = verbs.Listener()
        self._idle_since: float | None = None
        self._was_notified = False  # before the last claim
        self._pause = PAUSE_SECONDS[0]

    def claim(
        self,
        pipelines: Sequence[str],
        limit: int,
        *,
        job: int | None,
        worker: str,
        idempotency_key: str,
        wait_seconds: float = 0.0,
    ) -> Claim:
        ends = time.monotonic() + wait_seconds
        while True:
            found = verbs.claim(
                pipelines, limit, job=job, worker=worker, idempotency_key=idempotency_key
            )
            if found.leases:
                self._idle_since = None
                return found
            left = ends - time.monotonic()
            if left <= 0 or not self._is_idle() or not self._has_waited(found, left):
                return found

    def _is_idle(self) -> bool:
        self._idle_since = self._idle_since or time.monotonic()
        return time.monotonic() - self._idle_since >= IDLE_SECONDS_MIN

    def _has_waited(self, found: Claim, left: float) -> bool:
        """Wait until a claim may find more than this one; False if that is not possible."""
        if self._was_notified:
            if not self._listener.pause(min(left, self._pause)):
                return False
            self._pause = min(2 * self._pause, PAUSE_SECONDS[1])
        else:
            self._pause = PAUSE_SECONDS[0]
        notified = self._listener.wait(min(left, found.retry_after_seconds))
        self._was_notified = bool(notified)
        return notified is not None

    def renew(self, token: str, progress: CallProgress | None = None) -> str:
        return verbs.renew(token, progress=progress)

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        return verbs.report(token, results)

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        return verbs.report(token, results, claim_next=claim_next)

    def release(self, token: str) -> object:
        return verbs.release(token)

    def interrupt(self) -> None:
        self._listener.interrupt()

    def close(self) -> None:
        self._listener.close()
        connections.close_all()

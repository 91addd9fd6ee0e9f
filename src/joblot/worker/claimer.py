"""Claiming: the lease to work next, in time and not before.

A lease may be claimed while another is computed, so that the function need not wait for the way
to joblot and back. What is only held must not suffer when the process dies in the other lease:

- items are blamed for the death of their worker only if they were leased alone, so what is
  claimed ahead and turns out to be a single item is given back at once, at no cost to it;
- beside an item that is leased alone, perhaps because it kills, nothing is claimed ahead;
- nor beside calls that take long: others may be free sooner.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import uuid4

from joblot.errors import JoblotError, KeyConflict, Unavailable
from joblot.states import NoLease
from joblot.wire import Claim, GrantedLease
from joblot.worker.backoff import backoff_seconds
from joblot.worker.client import Client
from joblot.worker.handlers import bytes_of
from joblot.worker.held import Held, HeldLease
from joblot.worker.pace import Pace
from joblot.worker.settings import WorkerSettings

logger = logging.getLogger("joblot.worker")

AHEAD_CALL_SECONDS_MAX = 10.0  # beside a call that takes longer nothing is claimed
PAUSE_SECONDS_MIN = 0.05
UNKNOWN_PIPELINE = NoLease.UNKNOWN_PIPELINE.value  # perhaps a name that was mistyped


class Claimer:
    """Grants are held, and renewed, from the moment they are known."""

    def __init__(
        self,
        client: Client,
        held: Held,
        paces: Mapping[str, Pace],
        settings: WorkerSettings,
        draining: threading.Event,
        *,
        on_granted: Callable[[HeldLease], None],
    ) -> None:
        self._client = client
        self._held = held
        self._paces = paces
        self._settings = settings
        self._draining = draining
        self._on_granted = on_granted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="joblot-claim")
        self._reason = ""
        self._ahead: Future[HeldLease | None] | None = None

    def next(self) -> HeldLease | None:
        """A lease; None if there was nothing ready, after a pause, or a drain began.

        Raises Refused and InvalidInput: joblot will not have this worker.
        """
        if self._ahead is not None:
            ahead, self._ahead = self._ahead.result(), None
            if ahead is not None:
                return ahead
        began, wait_seconds = time.monotonic(), self._settings.wait_seconds
        claim = self._claim(self._limit(), wait_seconds)
        if claim is None or claim.leases:
            return self._take(claim)
        self._tell(claim.reason)
        has_waited = 0 < wait_seconds <= 2 * (time.monotonic() - began)
        self._pause(0.0 if has_waited else claim.retry_after_seconds)
        return None

    def claim_ahead(self, beside: GrantedLease) -> None:
        """Claim what is to be computed after this lease, if that is just and worth it."""
        call = self._paces[beside.pipeline].call_seconds()
        if not self._settings.claim_ahead or self._ahead is not None or len(beside.items) == 1:
            return
        if call is not None and call <= AHEAD_CALL_SECONDS_MAX and self._limit() > 1:
            self._ahead = self._thread.submit(self._next_ahead)

    def end(self) -> None:
        """What was being claimed is held when this returns."""
        self._thread.submit(self._client.close)
        self._thread.shutdown()

    def _next_ahead(self) -> HeldLease | None:
        """Whatever goes wrong is met again, and told, when nothing else is left to do."""
        try:
            held = self._take(self._claim(self._limit(), 0.0))
        except JoblotError as error:
            logger.info("nothing was claimed ahead: %s", error)
            return None
        if held is None or len(held.lease.items) > 1:
            return held
        release(self._client, self._held, held)
        return None

    def _limit(self) -> int:
        return min(pace.limit() for pace in self._paces.values())

    def _claim(self, limit: int, wait_seconds: float) -> Claim | None:
        """The answer, however often it takes to ask for it; None once a drain has begun."""
        key, tries = str(uuid4()), 0
        while not self._draining.is_set():
            try:
                return self._client.claim(
                    list(self._paces),
                    limit,
                    job=self._settings.job,
                    worker=self._settings.name,
                    idempotency_key=key,
                    wait_seconds=wait_seconds,
                )
            except KeyConflict:
                return Claim(())  # granted, and ended before the answer came
            except Unavailable as error:
                seconds = backoff_seconds(tries, error)
                logger.warning("the claim failed and is repeated in %.1f s: %s", seconds, error)
                self._draining.wait(seconds)
                tries += 1
        return None

    def _take(self, claim: Claim | None) -> HeldLease | None:
        if claim is None or not claim.leases:
            return None
        (lease, *others) = [self._held.take(lease) for lease in claim.leases]
        for other in others:  # one was asked for
            release(self._client, self._held, other)
        self._on_granted(lease)
        items = lease.lease.items
        if items:
            self._paces[lease.lease.pipeline].weigh(len(items), sum(map(bytes_of, items)))
        return lease

    def _tell(self, reason: str) -> None:
        """Why there is nothing to do, whenever that changes."""
        if reason != self._reason:
            level = logging.WARNING if reason == UNKNOWN_PIPELINE else logging.INFO
            logger.log(level, "%s: nothing to do: %s", ", ".join(self._paces), reason)
            self._reason = reason

    def _pause(self, seconds: float) -> None:
        longest = min(max(seconds, PAUSE_SECONDS_MIN), self._settings.idle_seconds_max)
        self._draining.wait(longest * random.uniform(1.0, 1.25))


def release(client: Client, held: Held, lease: HeldLease) -> None:
    """Give back what it still holds; if that can't be done, it will expire."""
    try:
        client.release(lease.lease.token)
    except JoblotError as error:
        logger.warning("a lease could not be given back and will expire: %s", error)
    held.let_go(lease.lease.token)

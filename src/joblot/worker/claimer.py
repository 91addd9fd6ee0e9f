"""Claiming the next lease, in time but not too early.

A lease may be claimed while another is computed, so that the function need not wait for the round
trip to joblot. Items that are only held must not suffer if the process dies in the other lease:

- an item is blamed for the death of its worker only if it was leased alone, so a lease that was
  claimed ahead and has a single item is released at once, at no cost to the item;
- nothing is claimed ahead during a lease of a single item, which may be one that kills;
- nothing is claimed ahead during slow calls: other workers may be free sooner.
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
from joblot.wire import Claim, GrantedLease, NextClaim
from joblot.worker.backoff import backoff_seconds
from joblot.worker.client import Client
from joblot.worker.handlers import bytes_of
from joblot.worker.held import Held, HeldLease
from joblot.worker.pace import Pace
from joblot.worker.settings import WorkerSettings

logger = logging.getLogger("joblot.worker")

AHEAD_CALL_SECONDS_MAX = 10.0  # during a longer call, nothing is claimed ahead
PAUSE_SECONDS_MIN = 0.05
UNKNOWN_PIPELINE = NoLease.UNKNOWN_PIPELINE.value  # perhaps a mistyped name


class Claimer:
    """Granted leases are held, and renewed, as soon as they are known."""

    def __init__(
        self,
        client: Client,
        held: Held,
        paces: Mapping[str, Pace],
        settings: WorkerSettings,
        draining: threading.Event,
        *,
        bring: Callable[[NextClaim], Claim | None],
        on_granted: Callable[[HeldLease], None],
    ) -> None:
        self._client = client
        self._bring = bring
        self._held = held
        self._paces = paces
        self._settings = settings
        self._draining = draining
        self._on_granted = on_granted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="joblot-claim")
        self._reason = ""
        self._ahead: Future[HeldLease | None] | None = None

    def next(self) -> HeldLease | None:
        """The next lease; None if nothing was ready (after a pause), or a drain began.

        Raises Refused and InvalidInput if joblot rejects this worker.
        """
        if self._ahead is not None:
            ahead, self._ahead = self._ahead.result(), None
            if ahead is not None:
                return ahead
        began, wait_seconds = time.monotonic(), self._settings.wait_seconds
        claim = self._claim(self._limit(), wait_seconds)
        if claim is None or claim.leases:
            return self._take(claim)
        self._log_change(claim.reason)
        has_waited = 0 < wait_seconds <= 2 * (time.monotonic() - began)
        self._pause(0.0 if has_waited else claim.retry_after_seconds)
        return None

    def claim_ahead(self, beside: GrantedLease) -> None:
        """Claim the lease to compute after this one, if that is fair and worthwhile."""
        call = self._paces[beside.pipeline].call_seconds()
        if not self._settings.claim_ahead or self._ahead is not None or len(beside.items) == 1:
            return
        if call is not None and call <= AHEAD_CALL_SECONDS_MAX and self._limit() > 1:
            self._ahead = self._thread.submit(self._next_ahead)

    def end(self) -> None:
        """Stop claiming. The lease of a claim in progress is held when this returns."""
        self._thread.submit(self._client.close)
        self._thread.shutdown()

    def _next_ahead(self) -> HeldLease | None:
        """An error is only logged: if it persists, the next claim of `next` raises it."""
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
        """The answer, after as many tries as it takes; None once a drain has begun.

        It comes with the receipts of a report that is about to be posted, if there is one. If that
        is not answered, or brings nothing and the claim may wait, it is made by itself.
        """
        names, key, tries = tuple(self._paces), str(uuid4()), 0
        job, worker = self._settings.job, self._settings.name
        asked = NextClaim(names, limit, job=job, worker=worker, idempotency_key=key)
        brought = self._bring(asked)
        if brought is not None and (brought.leases or not wait_seconds):
            return brought
        while not self._draining.is_set():
            try:
                return self._client.claim(
                    names,
                    limit,
                    job=job,
                    worker=worker,
                    idempotency_key=key,
                    wait_seconds=wait_seconds,
                )
            except KeyConflict:
                return Claim(())  # granted, and ended before the answer came
            except Unavailable as error:
                seconds = backoff_seconds(tries, error)
                logger.warning("the claim failed, retrying in %.1f s: %s", seconds, error)
                self._draining.wait(seconds)
                tries += 1
        return None

    def _take(self, claim: Claim | None) -> HeldLease | None:
        if claim is None or not claim.leases:
            return None
        (lease, *others) = [self._held.take(lease) for lease in claim.leases]
        for other in others:  # only one was asked for
            release(self._client, self._held, other)
        self._on_granted(lease)
        items = lease.lease.items
        if items:
            self._paces[lease.lease.pipeline].weigh(len(items), sum(map(bytes_of, items)))
        return lease

    def _log_change(self, reason: str) -> None:
        """Log why there is nothing to do, whenever the reason changes."""
        if reason != self._reason:
            level = logging.WARNING if reason == UNKNOWN_PIPELINE else logging.INFO
            logger.log(level, "%s: nothing to do: %s", ", ".join(self._paces), reason)
            self._reason = reason

    def _pause(self, seconds: float) -> None:
        longest = min(max(seconds, PAUSE_SECONDS_MIN), self._settings.idle_seconds_max)
        self._draining.wait(longest * random.uniform(1.0, 1.25))


def release(client: Client, held: Held, lease: HeldLease) -> None:
    """Give back the lease's open items; if that fails, the lease will expire."""
    try:
        client.release(lease.lease.token)
    except JoblotError as error:
        about = {"job": lease.lease.job, "lease": lease.lease.token}
        logger.warning("a lease could not be released and will expire: %s", error, extra=about)
    held.let_go(lease.lease.token)

"""The worker's loop: claim, compute, report; and a drain that finishes what was begun.

Three threads: the caller's claims and computes, one reports, one renews. They share `Held`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from joblot.config import limits
from joblot.errors import KeyConflict, Unavailable
from joblot.wire import ClaimedItem, Lease, Result
from joblot.worker.client import Client
from joblot.worker.function import Work
from joblot.worker.heartbeat import Heartbeat
from joblot.worker.held import Held, HeldLease
from joblot.worker.pace import Pace
from joblot.worker.reporter import Reporter, backoff_seconds

logger = logging.getLogger("joblot.worker")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker serves, and how."""

    pipelines: Sequence[str]
    job: int | None = None  # only this one
    name: str = ""  # on its leases
    batch_items: int = 1  # items a call of the function gets
    claim_aim_seconds: float = 1.0  # work to claim at once
    item_seconds_max: float = 3_600.0  # a call that takes longer counts as frozen
    idle_seconds_max: float = 1.0  # between two claims that found nothing
    drain_seconds_max: float = 60.0  # for the last reports


class Worker:
    """One worker. `run` works until `drain` is called, from a signal handler or any thread."""

    def __init__(
        self,
        client: Client,
        work: Work,
        settings: WorkerSettings,
        *,
        on_frozen: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._work = work
        self._settings = settings
        self._held = Held()
        self._reporter = Reporter(client, self._held)
        self._heartbeat = Heartbeat(
            client,
            self._held,
            item_seconds_max=settings.item_seconds_max,
            on_frozen=on_frozen,
        )
        most = max(settings.batch_items, limits().claim_items_max)
        self._pace = Pace(settings.claim_aim_seconds, settings.batch_items, most)
        self._draining = threading.Event()

    def drain(self) -> None:
        """Finish the current call, report, give back the rest, and return from `run`."""
        self._draining.set()

    def run(self) -> int:
        """Work; returns how many results have no receipt, 0 unless joblot was unavailable."""
        self._reporter.start()
        self._heartbeat.start()
        try:
            while not self._draining.is_set():
                if (lease := self._claim()) is not None:
                    self._serve(lease)
        finally:
            left = self._end()
        return left

    def _end(self) -> int:
        left = self._reporter.end(self._settings.drain_seconds_max)
        self._heartbeat.stop()
        for held in self._held.leases():
            self._release(held)
        self._client.close()
        return left

    def _release(self, held: HeldLease) -> None:
        try:
            self._client.release(held.lease.token)
        except Unavailable as error:
            logger.warning("a lease could not be given back and will expire: %s", error)
        self._held.let_go(held.lease.token)

    def _claim(self) -> Lease | None:
        """A lease; None if there was nothing ready, after a pause, or a drain began."""
        key, tries = str(uuid4()), 0
        while not self._draining.is_set():
            try:
                claim = self._client.claim(
                    self._settings.pipelines,
                    self._pace.limit(),
                    job=self._settings.job,
                    worker=self._settings.name,
                    idempotency_key=key,
                )
            except KeyConflict:
                return None  # granted, and ended before the answer came
            except Unavailable as error:
                logger.warning("claiming waits: %s", error)
                self._draining.wait(backoff_seconds(tries))
                tries += 1
                continue
            if claim.leases:
                return claim.leases[0]
            self._pause(claim.retry_after_seconds)
            return None
        return None

    def _pause(self, seconds: float) -> None:
        longest = min(seconds, self._settings.idle_seconds_max)
        self._draining.wait(longest * random.uniform(0.5, 1.0))

    def _serve(self, lease: Lease) -> None:
        """Compute the lease's items, call by call, and hand each call's results on at once.

        All are reported before the next lease is begun: an item that kills this process must not
        take along the finished ones of another lease, for these would seem to have done it too.
        """
        held = self._held.take(lease)
        self._heartbeat.watch(held)
        size = self._settings.batch_items
        for first in range(0, len(lease.items), size):
            if self._draining.is_set() or held.ended:
                self._give_up(held, lease.items[first:])
                return
            items = lease.items[first : first + size]
            self._reporter.put(lease.token, self._call(items))
        self._reporter.flush()

    def _call(self, items: Sequence[ClaimedItem]) -> list[Result]:
        began = time.monotonic()
        self._held.begin_call()
        try:
            return self._work(items)
        finally:
            self._held.end_call()
            self._pace.measure(len(items), time.monotonic() - began)

    def _give_up(self, held: HeldLease, items: Sequence[ClaimedItem]) -> None:
        """Not begun, and not to be: a live lease is released at the end, after the last report."""
        if held.ended:
            self._held.settle(held.lease.token, (item.id for item in items))

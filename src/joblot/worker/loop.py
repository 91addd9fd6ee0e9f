"""The worker's loop: claim, compute, report; a drain finishes the call in progress.

The caller's thread claims and computes; others report, renew, write to disk and claim ahead. They
share `Held`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from joblot.config import limits
from joblot.wire import ClaimedItem, Result
from joblot.worker.causes import interruptible
from joblot.worker.claimer import Claimer, release
from joblot.worker.client import Client
from joblot.worker.current import working_on
from joblot.worker.handlers import Handler, by_pipeline
from joblot.worker.heartbeat import Heartbeat
from joblot.worker.held import Held, HeldLease
from joblot.worker.pace import Pace
from joblot.worker.pulse import Pulse
from joblot.worker.reporter import Reporter
from joblot.worker.settings import WorkerSettings
from joblot.worker.spool import Spool

logger = logging.getLogger("joblot.worker")

__all__ = ["Worker", "WorkerSettings"]


class Worker:
    """One worker. `run` works until `drain` is called, from a signal handler or any thread.

    With a `spool`, results are on disk before they count as done. The results that dead workers
    left in the folder `spools` are reported as well.
    """

    def __init__(
        self,
        client: Client,
        handlers: Iterable[Handler],
        settings: WorkerSettings | None = None,
        *,
        spool: Spool | None = None,
        spools: Path | None = None,
        on_frozen: Callable[[float], None] | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._client = client
        self._handlers = by_pipeline(handlers)
        self._settings = settings or WorkerSettings()
        self._spool = spool
        self._spools = spools
        self._taken_over: list[Spool] = []
        self._held = Held(pulse=pulse)
        self._draining = threading.Event()
        self._reports_first = False  # what was computed last, before the next lease begins
        self._reporter = Reporter(client, self._held, self._draining, spool=spool)
        self._heartbeat = Heartbeat(
            client,
            self._held,
            item_seconds_max=self._settings.item_seconds_max,
            on_frozen=on_frozen,
        )
        self._paces = {name: self._pace(one) for name, one in self._handlers.items()}
        self._claimer = Claimer(
            client,
            self._held,
            self._paces,
            self._settings,
            self._draining,
            bring=self._reporter.bring,
            on_granted=self._heartbeat.watch,
        )

    def _pace(self, handler: Handler) -> Pace:
        most = max(handler.batch_items, limits().claim_items_max)
        return Pace(self._settings.claim_aim_seconds, handler.batch_items, most)

    def drain(self) -> None:
        """Finish the current call, report, give back the rest, and return from `run`."""
        self._draining.set()
        self._client.interrupt()

    def run(self) -> int:
        """Work until drained; returns how many results have no receipt.

        It is 0 unless joblot was unavailable. Raises Refused and InvalidInput if joblot rejects
        this worker's token or pipelines; results without a receipt are then in the spool, if there
        is one. Ctrl-C raises KeyboardInterrupt, unless the program has its own handler for it; the
        items in progress are given back.
        """
        self._reporter.start()
        self._heartbeat.start()
        try:
            with interruptible():
                self._work()
        finally:
            left = self._end()
        return left

    def _work(self) -> None:
        self._take_over()
        while not self._draining.is_set():
            if self._reporter.refused:
                raise self._reporter.refused
            held = self._claimer.next()
            if self._reports_first:
                self._reporter.flush()
            if held is not None:
                self._serve(held)
            else:
                self._take_over()

    def _end(self) -> int:
        self._draining.set()
        self._claimer.end()
        left = self._reporter.end(self._settings.drain_seconds_max)
        self._heartbeat.stop()
        owed = self._reporter.owes()
        for held in self._held.leases():
            if held.lease.token not in owed:  # else others would compute the same items again
                release(self._client, self._held, held)
        for spool in (*self._taken_over, *filter(None, [self._spool])):
            spool.end()
        self._client.close()
        return left

    def _take_over(self) -> None:
        """Report the results that dead workers left behind, before anything is claimed.

        Their leases are not released: an item that kills its worker must be found, so the expired
        lease counts against its budget.
        """
        for spool in Spool.taken_over(self._spools) if self._spools else ():
            self._taken_over.append(spool)
            try:
                if results := self._reporter.adopt(spool):
                    logger.info("took over %d results of a dead worker: %s", results, spool.home)
                    self._reporter.flush()
            except OSError as error:
                logger.error("%s can't be read: %s", spool.home, error)  # noqa: TRY400

    def _serve(self, held: HeldLease) -> None:
        """Compute the lease's items, call by call, and pass on each call's results at once.

        If the next lease killed this process, results that are in memory only would be lost, and
        an item that was leased alone would be blamed: these are reported before it begins, mostly
        by the same request that claims it.
        """
        lease = held.lease
        self._heartbeat.require_live(held)
        handler = self._handlers[lease.pipeline]
        begun = 0
        for items in handler.calls(lease.items):
            if self._draining.is_set() or held.ended:
                self._give_up(held, lease.items[begun:])
                return
            begun += len(items)
            if begun == len(lease.items):
                self._claimer.claim_ahead(lease)
            with working_on(lease, partial(self._held.note_progress, lease.token)):
                self._call(handler, lease.token, items)
        self._reports_first = len(lease.items) == 1 or not self._reporter.durable

    def _call(self, handler: Handler, token: str, items: Sequence[ClaimedItem]) -> None:
        working, seconds = iter(handler.work(items)), 0.0
        while True:
            began = time.monotonic()
            results = self._until_progress(working)
            seconds += time.monotonic() - began
            if results is None:
                break
            self._reporter.put(token, results)
        self._paces[handler.pipeline].measure(len(items), seconds)

    def _until_progress(self, working: Iterator[list[Result]]) -> list[Result] | None:
        """The next results, or None. The heartbeat watches how long they take."""
        self._held.begin_call()
        try:
            return next(working, None)
        finally:
            self._held.end_call()

    def _give_up(self, held: HeldLease, items: Sequence[ClaimedItem]) -> None:
        """These items won't be computed. A live lease is released at the end, after all reports."""
        if held.ended:
            self._held.settle(held.lease.token, (item.id for item in items))

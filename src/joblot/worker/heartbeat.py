"""Renewing leases while the work makes progress.

A lease is renewed because there is progress, not because the process is alive: if one call of the
function takes longer than `item_seconds_max`, its lease expires and other workers get the items.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from joblot.errors import Refused, Unavailable
from joblot.worker.backoff import backoff_seconds
from joblot.worker.client import Client
from joblot.worker.held import Held, HeldLease

logger = logging.getLogger("joblot.worker")

RENEWALS_PER_LEASE = 3  # so that two may fail before it expires
RENEW_SECONDS_MIN = 0.05
RENEW_SECONDS_MAX = 60.0


class Heartbeat:
    """A thread that renews held leases. `on_frozen` is called once when a call takes too long."""

    def __init__(
        self,
        client: Client,
        held: Held,
        *,
        item_seconds_max: float,
        on_frozen: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._held = held
        self._item_seconds_max = item_seconds_max
        self._on_frozen = on_frozen
        self._lease_seconds = RENEW_SECONDS_MAX * RENEWALS_PER_LEASE
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._frozen = False
        self._away: Unavailable | None = None  # the error of the last beat
        self._tries = 0  # consecutive beats before it that failed like this
        self._thread = threading.Thread(target=self._run, name="joblot-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._changed.set()
        self._thread.join()

    def watch(self, held: HeldLease) -> None:
        """A lease was granted: adapt how often to renew."""
        if held.lease.lease_seconds < self._lease_seconds:
            self._lease_seconds = held.lease.lease_seconds
            self._changed.set()

    def require_live(self, held: HeldLease) -> None:
        """Renew a lease that may have expired unnoticed; sets `ended` if it is no longer live."""
        if time.monotonic() - held.renewed_at > held.lease.lease_seconds:
            self._renew(held)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._beat()
            except Exception:
                logger.exception("leases could not be renewed, trying again")
            self._changed.wait(self._pause_seconds())
            self._changed.clear()
        self._client.close()

    def _every_seconds(self) -> float:
        every = self._lease_seconds / RENEWALS_PER_LEASE
        return min(max(every, RENEW_SECONDS_MIN), RENEW_SECONDS_MAX)

    def _pause_seconds(self) -> float:
        left = self._item_seconds_max - self._held.call_seconds()
        soon = self._every_seconds() / 2
        if self._away is not None:
            soon = min(soon, backoff_seconds(self._tries, self._away))
        return min(soon, max(left, RENEW_SECONDS_MIN))

    def _beat(self) -> None:
        seconds = self._held.call_seconds()
        if seconds > self._item_seconds_max:
            self._report_frozen(seconds)
            return
        self._frozen = False
        due = time.monotonic() - self._every_seconds()
        self._tries, self._away = (self._tries + 1 if self._away else 0), None
        for held in self._held.leases():
            if not held.ended and held.renewed_at <= due:
                self._renew(held)

    def _report_frozen(self, seconds: float) -> None:
        if self._frozen:
            return
        self._frozen = True
        logger.warning(
            "one call has taken %.0f s, more than item_seconds_max = %g; its lease is no longer "
            "renewed",
            seconds,
            self._item_seconds_max,
        )
        if self._on_frozen is not None:
            self._on_frozen(seconds)

    def _renew(self, held: HeldLease) -> None:
        try:
            self._client.renew(held.lease.token, held.progress)
            held.renewed_at = time.monotonic()
        except Refused as error:
            held.ended = True
            logger.info("%s", error, extra=_about(held))
        except Unavailable as error:
            about = _about(held)
            logger.warning("a lease could not be renewed, trying again: %s", error, extra=about)
            self._away = error


def _about(held: HeldLease) -> dict[str, Any]:
    """What a log line about this lease names."""
    return {"job": held.lease.job, "stage": held.lease.stage, "lease": held.lease.token}

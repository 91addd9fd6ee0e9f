"""A clock driven by renewals: however slow the machine is, no renewed lease expires."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from joblot.cli.local_client import LocalClient
from joblot.wire import CallProgress
from tests.ledger.conftest import Clock

LEASE_SECONDS = 0.6


class Renewals(LocalClient):
    """The ledger itself, with a clock that advances only by half a lease after each renewal."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._came = threading.Semaphore(0)
        self._at: list[float] = []

    def renew(self, token: str, progress: CallProgress | None = None) -> str:
        deadline = super().renew(token, progress)
        self._clock.forward(LEASE_SECONDS / 2)
        self._at.append(time.monotonic())
        self._came.release()
        return deadline

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._came.acquire(timeout=30)

    @property
    def every_seconds(self) -> float:
        """The shortest interval between two renewals, as on an idle machine."""
        return min(later - sooner for sooner, later in pairwise(self._at))

"""Logging why joblot defers results: whenever the reason changes, and once in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from joblot.shown import counted_and
from joblot.states import Receipt
from joblot.wire import ItemReceipt

logger = logging.getLogger("joblot.worker")

SECONDS = 60.0  # between two lines with the same reason


class DeferredLog:
    """Used by one thread."""

    def __init__(self) -> None:
        self._last = "", 0.0  # the reason that was logged, and when

    def note(self, receipts: Sequence[ItemReceipt]) -> None:
        deferred = [one for one in receipts if one.receipt is Receipt.DEFERRED]
        if not deferred:
            return
        reason, now = deferred[0].reason, time.monotonic()
        if reason != self._last[0] or now - self._last[1] >= SECONDS:
            self._last = reason, now
            results = counted_and(len(deferred), "result", "is", "are")
            logger.warning("%s deferred: %s", results, reason)

"""Reporting the results in one body in groups, so that a large batch is never held as a whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from joblot.config import limits
from joblot.contrib.antenna.ahead import renew_ahead
from joblot.contrib.antenna.entries import Entry
from joblot.contrib.antenna.judgement import Judged, judge, unkept
from joblot.contrib.antenna.limits import antenna_limits
from joblot.errors import NotFound, TooLarge
from joblot.ledger.db.transactions import knowing
from joblot.ledger.lease import expire
from joblot.ledger.report.report import report
from joblot.states import Receipt
from joblot.wire import ItemReceipt

logger = logging.getLogger("joblot.api")

RETURNED = Receipt.REQUEUED.value


class Intake:
    """The entries of one body, until they have their receipts. What was reported stays reported."""

    def __init__(self) -> None:
        self._all: list[Judged] = []
        self._group: list[Judged] = []
        self._group_bytes = 0
        self._batches: dict[str, list[Judged]] = {}
        self._recorded = 0

    def take(self, entries: Iterable[Entry]) -> list[Judged]:
        """The outcome of each entry, in order; all of them are committed.

        Raises TooLarge, NotReadable, Unavailable; the entries before the error are reported.
        """
        with knowing(self._known):
            try:
                for entry in entries:
                    self._add(judge(entry), entry.size)
            finally:
                self._report_group()
            for lease, failed in self._batches.items():
                self._return_batch(lease, failed)
            for lease in {judged.lease for judged in self._all if judged.subject}:
                renew_ahead(lease, antenna_limits().lease_seconds)
        return self._all

    def _known(self) -> str:
        return f"of the whole batch {self._recorded} results are recorded; post all of it again"

    def _add(self, judged: Judged, size: int) -> None:
        most = antenna_limits().results_max
        if len(self._all) >= most:
            raise TooLarge(f"results: expected at most {most}; split them", most)
        self._all.append(judged)
        if judged.with_others:
            self._batches.setdefault(judged.lease, []).append(judged)
            return
        if judged.result is None:
            return
        self._group.append(judged)
        self._group_bytes += size
        if (
            self._group_bytes >= antenna_limits().group_bytes
            or len(self._group) >= limits().results_per_report_max
        ):
            self._report_group()

    def _report_group(self) -> None:
        group, self._group, self._group_bytes = self._group, [], 0
        by_lease: dict[str, list[Judged]] = {}
        for judged in group:
            by_lease.setdefault(judged.lease, []).append(judged)
        for lease, of_lease in by_lease.items():
            _report(lease, of_lease)
            self._recorded += len(of_lease)

    def _return_batch(self, lease: str, failed: list[Judged]) -> None:
        """A batch that failed as a whole says nothing about its items, unless it has only one.

        So its items are returned as if their worker had died: first together, then each alone.
        """
        if len(failed) == 1:
            _report(lease, failed)
            return
        cause = failed[0].result and failed[0].result.error
        try:
            if expire(lease, str(cause and cause.message)):
                logger.warning("a batch of %d failed as a whole: %s", len(failed), cause)
            for judged in failed:
                judged.status = RETURNED
        except NotFound:
            return


def _report(lease: str, group: list[Judged]) -> None:
    """Report, and fail the items whose results can't be stored."""
    rejected = [
        unkept(judged, receipt.reason)
        for judged, receipt in zip(group, _receipts(lease, group), strict=True)
        if receipt.receipt is Receipt.REJECTED
    ]
    if rejected:
        _receipts(lease, rejected)
    for judged in group:
        judged.result = None  # large, and no longer needed


def _receipts(lease: str, group: list[Judged]) -> list[ItemReceipt]:
    receipts = report(lease, [judged.result for judged in group if judged.result])
    for judged, receipt in zip(group, receipts, strict=True):
        judged.status = receipt.receipt.value
    return receipts

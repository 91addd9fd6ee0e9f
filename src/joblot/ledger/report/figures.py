"""What is counted of a report once it is committed: its receipts, and the figures of its worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from joblot import telemetry
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows import worker_figures
from joblot.states import Receipt, ReportedOutcome
from joblot.wire import ItemReceipt

_RECORDED = (Receipt.COUNTED, Receipt.AMENDED, Receipt.REQUEUED)
_SUCCEEDED, _FAILED = ReportedOutcome.SUCCEEDED, ReportedOutcome.FAILED


def note_figures(
    token: UUID | None, prepared: Sequence[object], receipts: Sequence[ItemReceipt]
) -> None:
    """Count the receipts by the outcome that was reported; a result that is bad has none."""
    outcomes = [one.result.outcome if isinstance(one, PendingResult) else "" for one in prepared]
    kinds = Counter(zip([one.receipt for one in receipts], outcomes, strict=True))
    for (kind, outcome), amount in kinds.items():
        telemetry.count("receipts", amount, receipt=kind.value, outcome=str(outcome))
    succeeded = sum(kinds[kind, _SUCCEEDED] for kind in _RECORDED)
    failed = sum(kinds[kind, _FAILED] for kind in _RECORDED)
    if token is not None and succeeded + failed:
        error = _last_error(prepared, receipts) if failed else None
        worker_figures.gather(token, succeeded=succeeded, failed=failed, error=error)


def _last_error(prepared: Sequence[object], receipts: Sequence[ItemReceipt]) -> str:
    for one, receipt in zip(reversed(prepared), reversed(receipts), strict=True):
        if isinstance(one, PendingResult) and not one.succeeded and receipt.receipt in _RECORDED:
            return f"{one.error.type}: {one.error.message}".partition("\n")[0]
    raise AssertionError("a failure that was counted has a result")

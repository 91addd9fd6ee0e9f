"""The judgement of results, by the receipt table: pure, from what was read before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows.items import OutcomeRow
from joblot.ledger.rows.ranges import Span
from joblot.states import ItemState, LeaseState, Receipt, Report, Standing, receipt_for
from joblot.wire import ItemReceipt

SETTLING = frozenset({Receipt.COUNTED, Receipt.AMENDED})
KEPT = frozenset({Receipt.LATE, Receipt.CONFLICTING})  # successes that are kept, uncounted

Kept = tuple[Receipt, int, bytes | None]  # a late one of an item, a conflicting one by its hash


@dataclass(frozen=True, slots=True)
class View:
    """A locked lease, and what is recorded of the items that are reported through it.

    `given_up`: the numbers that the lease no longer holds. `outcomes`: by number; an open item has
    none. `kept`: which successes are kept uncounted already.
    """

    lease: LeaseState
    spans: tuple[Span, ...]
    given_up: frozenset[int]
    failures_max: int
    last_stage: bool
    why_late: str
    outcomes: Mapping[int, OutcomeRow]
    kept: Collection[Kept] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one result.

    `outcome`: what was recorded of its item. `failures`: how often the item has failed before this
    result. `keep`: it is not counted, and is to be kept, for it is not kept yet.
    """

    pending: PendingResult
    receipt: Receipt
    reason: str = ""
    outcome: OutcomeRow | None = None
    failures: int = 0
    keep: bool = False

    @property
    def number(self) -> int:
        return self.pending.number

    @property
    def settles(self) -> bool:
        return self.receipt in SETTLING

    @property
    def lacks_file(self) -> bool:
        """Whether it needs a file that is not stored yet; before that, nothing may be written."""
        one = self.pending
        return one.large and one.output_ref is None and (self.settles or self.keep)

    def answer(self) -> ItemReceipt:
        return ItemReceipt(self.number, self.receipt, self.reason)


def judge(pending: Iterable[PendingResult], view: View) -> tuple[Decision, ...]:
    """One decision for each result, in their order."""
    return tuple(_decided(one, view) for one in pending)


def _decided(one: PendingResult, view: View) -> Decision:
    span = next((span for span in view.spans if one.number in span), None)
    if span is None:
        return Decision(one, Receipt.REJECTED, "unknown item: this lease was not granted it")
    outcome = view.outcomes.get(one.number)
    standing = _standing(one, outcome, returned=one.number in view.given_up)
    report = _report(one, span.failures, view.failures_max)
    receipt = receipt_for(view.lease, standing, report, last_stage=view.last_stage)
    reason = view.why_late if receipt is Receipt.LATE else one.reason
    keep = one.succeeded and receipt in KEPT and kept_as(receipt, one) not in view.kept
    return Decision(one, receipt, reason, outcome, span.failures, keep)


def kept_as(receipt: Receipt, one: PendingResult) -> Kept:
    """By what a kept result is known: of an item one late success in a run, and one conflicting
    success for each different output.
    """
    return receipt, one.number, one.hash if receipt is Receipt.CONFLICTING else None


def _standing(one: PendingResult, outcome: OutcomeRow | None, *, returned: bool) -> Standing:
    if outcome is None:
        return Standing.RETURNED if returned else Standing.OPEN
    if outcome.state == ItemState.SUCCEEDED:
        return Standing.SAME if outcome.hash == one.hash else Standing.OTHER
    return Standing.LOST if outcome.state == ItemState.LOST else Standing.FAILED


def _report(one: PendingResult, failures: int, failures_max: int) -> Report:
    """What the receipt table is asked, for an item that has failed `failures` times."""
    if one.succeeded:
        return Report.SUCCESS
    within = one.result.retryable and failures + 1 < failures_max
    return Report.RETRYABLE_FAILURE if within else Report.FINAL_FAILURE
